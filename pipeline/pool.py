"""Note which tasks' frames the in-domain encoders learn from besides their own task's.

    python -m pipeline.pool

Writes `data/pool.json`: digests of the frames and trajectories of every task that `pretrain.NAME.tasks` in params.yaml names,
nothing by default. `pretrain` of each task depends on it, so that DVC renders those tasks first and learns again when they
change, and only then.
"""

from pathlib import Path

from datasets.manifest import digest, write_json
from pipeline.params import load_params
from pipeline.stage import run

OUT = Path("data/pool.json")


def main(params: Path = Path("params.yaml")) -> None:
    p = load_params(params)
    named = sorted({task for vit in p.pretrain.vits.values() for task in vit.tasks or ()})
    OUT.parent.mkdir(parents=True, exist_ok=True)
    write_json(OUT, {task: {kind: digest(Path("data") / kind / task) for kind in ("trajectories", "frames")} for task in named})


if __name__ == "__main__":
    run(main)
