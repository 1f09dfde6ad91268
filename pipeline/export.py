"""Export a task's trajectories and the frames of one look as another project's dataset.

    python -m pipeline.export --task cartpole_swingup --format lerobot --out exports/cartpole
    python -m pipeline.export --task cartpole_swingup --format minari --out exports/cartpole-v0 --variant texture-0.50-0

Formats: lerobot (v3.0), minari (the folder's name is the dataset's id); docs/interchange.md says how each opens it. OUT must not
exist; it appears whole or not at all. Looks other than the default exist for held-out episodes only.
"""

import os
import shutil
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING

from datasets.errors import UserError
from pipeline.collect import known_task
from pipeline.log import log, track
from pipeline.params import load_params
from pipeline.stage import run

if TYPE_CHECKING:
    from datasets.episodes import Meta

DEFAULT_FPS = 10.0  # where the data does not say how long a step takes


class Format(StrEnum):
    lerobot = "lerobot"
    minari = "minari"


def main(task: str, format: Format, out: Path, variant: str = "default", params: Path = Path("params.yaml")) -> None:
    from datasets.frames import load_frames_index
    from datasets.interchange.exported import exported_episodes
    from datasets.interchange.lerobot import write_lerobot
    from datasets.interchange.minari import check_dataset_id, write_minari
    from datasets.manifest import verify
    from datasets.trajectories import TrajectoryReader

    known_task(task, load_params(params))
    if out.exists():
        raise UserError(f"{out} exists: name a new folder, or remove it first")
    name = check_dataset_id(out.resolve().name) if format is Format.minari else out.name
    folder = Path("data/frames") / task
    frames = load_frames_index(folder).of(variant)
    verify(folder, only=f"{variant}/")
    out.parent.mkdir(parents=True, exist_ok=True)
    temporary = out.resolve().with_name(f".{out.resolve().name}.{os.getpid()}.new")
    try:
        with TrajectoryReader(Path("data/trajectories") / task) as reader:
            total = sum(len(shard.episodes) for shard in frames.shards)
            episodes = track(exported_episodes(reader, folder, frames), total, "episode", f"export {task}")
            if format is Format.minari:
                write_minari(temporary, name, episodes)
            else:
                write_lerobot(temporary, task, episodes, frames_per_second(reader.index.meta))
        os.rename(temporary, out)
    finally:
        shutil.rmtree(temporary, ignore_errors=True)
    log(f"export: {total} episodes of look {variant} in {out}")


def frames_per_second(meta: "Meta") -> float:
    """Agent steps a second: 1 / (control_timestep x action_repeat) from a trajectory file's meta, or `DEFAULT_FPS`."""
    step = float(meta.get("control_timestep", 0)) * float(meta.get("action_repeat", 1))
    if step > 0:
        return 1 / step
    log(f"export: the data does not say how long a step takes; {DEFAULT_FPS:.0f} frames a second assumed")
    return DEFAULT_FPS


if __name__ == "__main__":
    run(main)
