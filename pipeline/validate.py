"""Read params.yaml before any work starts: a wrong key, type or value is one clear line.

    python -m pipeline.validate

Runs first under DVC, which would otherwise only see a mistake at the stage that trips over it. `data/valid.json` never changes,
so nothing runs again because of it. An environment of the user's own is made, reset and drawn once: its code runs. What it is
made of is noted in `data/environments/TASK.json` (null for other tasks), on which `collect` depends, so that DVC collects again
when it changes.
"""

from pathlib import Path

from datasets.manifest import write_json
from pipeline.environments import check_environment, environment_digest
from pipeline.live import require
from pipeline.params import load_params
from pipeline.stage import run

OUT = Path("data/valid.json")
ENVIRONMENTS = Path("data/environments")


def main(params: Path = Path("params.yaml")) -> None:
    p = load_params(params)
    require(p.track)
    found: dict[str, str | None] = dict.fromkeys(p.tasks)
    for task in p.tasks:
        if source := p.source_of(task):
            check_environment(p, task)
            found[task] = environment_digest(source)
    ENVIRONMENTS.mkdir(parents=True, exist_ok=True)
    for task, digest in found.items():
        write_json(ENVIRONMENTS / f"{task}.json", {"environment": digest})
    write_json(OUT, {"params.yaml": "valid"})


if __name__ == "__main__":
    run(main)
