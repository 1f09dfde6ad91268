"""Read params.yaml before any work starts: a wrong key, type or value is one clear line.

    python -m pipeline.validate

Runs first under DVC, which would otherwise only see a mistake at the stage that trips over it. Its output never changes, so
nothing runs again because of it.
"""

from pathlib import Path

from datasets.manifest import write_json
from pipeline.live import require
from pipeline.params import load_params
from pipeline.stage import run

OUT = Path("data/valid.json")


def main(params: Path = Path("params.yaml")) -> None:
    require(load_params(params).track)
    OUT.parent.mkdir(parents=True, exist_ok=True)
    write_json(OUT, {"params.yaml": "valid"})


if __name__ == "__main__":
    run(main)
