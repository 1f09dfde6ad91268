"""A small project on disk with made-up data, for tests that are not about the simulator: real formats, random contents."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from ruamel.yaml import YAML

from datasets.episodes import Trajectories
from datasets.frames import Frames, FrameSet, FrameShard, Look, save_frames_index, write_frame_shard
from datasets.manifest import write_manifest
from datasets.trajectories import FILE, save_trajectories

ROOT = Path(__file__).resolve().parent.parent
PRESETS = sorted(path.stem for path in (ROOT / "presets").iterdir())
TASK = "cartpole_swingup"


def make_trajectories(
    episodes: int = 6, length: int = 21, validation: int = 2, observation: int = 5, seed: int = 0
) -> Trajectories:
    """Smooth random walks whose reward is a function of the observation."""
    rng = np.random.default_rng(seed)
    rows = episodes * length
    is_first = np.zeros(rows, bool)
    is_first[::length] = True
    action = rng.uniform(-1, 1, (rows, 1)).astype(np.float32) * ~is_first[:, None]
    walk = np.cumsum(0.2 * action + 0.05 * rng.normal(size=(rows, observation)), axis=0).astype(np.float32)
    return Trajectories(
        task=TASK, physics=rng.normal(size=(rows, 4)), observation=np.sin(walk), action=action,
        reward=(np.cos(walk[:, 0]) ** 2 * ~is_first).astype(np.float32), discount=np.ones(rows, np.float32), is_first=is_first,
        is_terminal=np.zeros(rows, bool), episode_ends=np.arange(1, episodes + 1) * length,
        quality=[("random", "medium", "replay", "expert")[i % 4] for i in range(episodes)], seed=np.arange(episodes),
        validation=np.arange(episodes) >= episodes - validation,
    )  # fmt: skip


def write_trajectories(root: Path, data: Trajectories) -> None:
    folder = root / "data" / "trajectories" / data.task
    folder.mkdir(parents=True)
    save_trajectories(data, folder / FILE)
    write_manifest(folder, {"stage": "collect"})


def write_frames(root: Path, data: Trajectories, size: int = 64, per_shard: int = 2, seed: int = 0) -> None:
    """Default look of every episode, one shifted look of the validation episodes; a frame's colour follows the observation."""
    folder = root / "data" / "frames" / data.task
    rng = np.random.default_rng(seed)
    sets = []
    for look in (Look("default", "default", 0.0, 0, "id"), Look("texture-0.50-0", "texture", 0.5, 0, "ood")):
        (folder / look.variant).mkdir(parents=True)
        episodes = list(range(len(data.episode_ends))) if look.axis == "default" else data.episodes(validation=True)
        shards = []
        for number, first in enumerate(range(0, len(episodes), per_shard)):
            chosen = episodes[first : first + per_shard]
            name = f"{look.variant}/{number:06d}.tar"
            frames = [
                (e, t, _frame(data.observation[data.rows_of(e)][t], size, look.severity, rng))
                for e in chosen
                for t in range(data.rows_of(e).stop - data.rows_of(e).start)
            ]
            write_frame_shard(folder / name, frames)
            shards.append(FrameShard(name, chosen, [[data.rows_of(e).start, data.rows_of(e).stop] for e in chosen]))
        sets.append(FrameSet(look, shards))
    save_frames_index(Frames(data.task, size, "0", "fast", sets), folder)
    write_manifest(folder, {"stage": "render"})


def _frame(observation: np.ndarray, size: int, severity: float, rng: np.random.Generator) -> np.ndarray:
    colour = (127 + 100 * observation[:3]).clip(0, 255)
    noise = rng.integers(0, 20, (size, size, 3))
    return (colour * (1 - severity / 2) + noise).clip(0, 255).astype(np.uint8)


def write_params(root: Path, change: Callable[[dict[str, Any]], None] | None = None) -> Path:
    """The committed params.yaml with `change` applied."""
    yaml = YAML()
    values = yaml.load((ROOT / "params.yaml").read_text())
    if change is not None:
        change(values)
    path = root / "params.yaml"
    with open(path, "w") as file:
        yaml.dump(values, file)
    return path


def go_into(root: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Make `root` the working directory, with a store of its own."""
    monkeypatch.chdir(root)
    monkeypatch.setenv("ENCORE_STORE", str(root / "store"))
    return root


def enter_project(root: Path, monkeypatch: pytest.MonkeyPatch, data: Trajectories) -> None:
    """`go_into(root)`, and put the trajectories and their frames there."""
    go_into(root, monkeypatch)
    write_trajectories(root, data)
    write_frames(root, data)
