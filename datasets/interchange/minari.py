"""A Minari dataset of one look: `data/main_data.hdf5` and `data/metadata.json`, images raw (Minari's default is JPEG).

An episode of t rows has t observations {state, image} and t - 1 actions, rewards, terminations and truncations: entry i is
what was done at observation i and what came of it, Encore's row i + 1. Opened by `minari.load_dataset(ID)` where
MINARI_DATASETS_PATH is the parent of the folder ID. Source: Farama-Foundation/Minari, minari/dataset/_storages/hdf5_storage.py,
minari/dataset/minari_storage.py, minari/serialization.py (0.5.4, the first version that reads raw images).
"""

import json
import re
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import h5py
import numpy as np

from datasets.errors import DataError
from datasets.interchange.exported import ExportedEpisode
from datasets.manifest import write_json

VERSION = "0.5.4"


def check_dataset_id(name: str) -> str:
    """`name`, where it can be a Minari dataset's.

    Raises:
        DataError: it cannot.
    """
    if not re.fullmatch(r"[-_\w]+-v\d+", name):
        raise DataError(
            f"{name} is no Minari dataset id: end --out in a folder named like {re.sub(r'[^-_A-Za-z0-9]', '-', name)}-v0"
        )
    return name


def write_minari(folder: Path, dataset_id: str, episodes: Iterable[ExportedEpisode]) -> None:
    """Write a dataset into `folder`, one episode in memory at a time.

    Raises:
        DataError: there are no episodes.
    """
    data = folder / "data"
    data.mkdir(parents=True)
    spaces: dict[str, Any] = {}
    total = steps = 0
    with h5py.File(data / "main_data.hdf5", "w", libver="latest") as file:
        for total, episode in enumerate(episodes, start=1):
            spaces = spaces or _spaces(episode)
            steps += _write_episode(file.create_group(f"episode_{total - 1}"), total - 1, episode)
    if not total:
        raise DataError("there are no episodes to export")
    size = (data / "main_data.hdf5").stat().st_size / 1e6
    metadata = {
        "dataset_id": dataset_id, "data_format": "hdf5", "minari_version": VERSION, "jpeg_encoding": False,
        "total_episodes": total, "total_steps": steps, "dataset_size": round(size, 1), **spaces,
    }  # fmt: skip
    write_json(data / "metadata.json", metadata)


def _write_episode(group: Any, number: int, episode: ExportedEpisode) -> int:
    rows, frames = episode.rows, episode.frames
    done = rows.is_terminal[1:]
    steps = len(done)
    group.attrs.update({"id": number, "total_steps": steps, "quality": episode.facts.quality})
    group.attrs.update({"validation": episode.facts.validation, "encore_episode": episode.number})
    if episode.facts.seed >= 0:
        group.attrs["seed"] = episode.facts.seed
    group.create_dataset("observations/image", data=frames, chunks=(1, *frames.shape[1:]), compression="gzip", compression_opts=1)
    if rows.observation.shape[1]:
        group["observations/state"] = rows.observation
    group["actions"], group["rewards"], group["terminations"] = rows.action[1:], rows.reward[1:], done
    group["truncations"] = (np.arange(steps) == steps - 1) & ~done
    return steps


def _spaces(episode: ExportedEpisode) -> dict[str, str]:
    """Gymnasium spaces as Minari writes them: JSON in a string. Bounds of vectors are not known: infinite."""
    subspaces = {"image": _box(np.zeros(episode.frames.shape[1:], np.uint8), 0, 255)}
    if episode.rows.observation.shape[1]:
        subspaces["state"] = _box(episode.rows.observation[0], -np.inf, np.inf)
    observation = {"type": "Dict", "subspaces": subspaces}
    action = _box(episode.rows.action[0], -np.inf, np.inf)
    return {"observation_space": json.dumps(observation), "action_space": json.dumps(action)}


def _box(like: Any, low: float, high: float) -> dict[str, Any]:
    bounds = {name: np.full(like.shape, value, like.dtype).tolist() for name, value in (("low", low), ("high", high))}
    return {"type": "Box", "dtype": str(like.dtype), "shape": list(like.shape), **bounds}
