"""Trajectories, the source of truth: one HDF5 file a task, flat along time, with all that exact re-rendering needs.

Folder `data/trajectories/TASK/`: `trajectories.h5` and its `manifest.json`. Validation episodes come last, so that the
rows of looks rendered for them alone are contiguous.
"""

from dataclasses import dataclass, field
from pathlib import Path

import h5py
import numpy as np
from numpy.typing import NDArray

from datasets.errors import DataError
from datasets.manifest import verify

FILE = "trajectories.h5"
_ROW_ARRAYS = ("physics", "observation", "action", "reward", "discount", "is_first", "is_terminal")
_EPISODE_ARRAYS = ("episode_ends", "seed", "validation")


@dataclass(frozen=True)
class Trajectories:
    """All episodes of one task.

    Attributes:
        physics: float64 [T, P], MuJoCo's full integration state (`mj_getState`, mjSTATE_INTEGRATION).
        observation: float32 [T, O], the task's own observation, flattened in its own order.
        action: float32 [T, A] in the task's units; the action that led to row t, zeros where `is_first`.
        reward: float32 [T], summed over the action repeat; arrives with row t, 0 where `is_first`.
        discount: float32 [T]; 0 where the episode ended for good.
        is_first, is_terminal: bool [T].
        episode_ends: int64 [n], row after each episode's last.
        quality: the behaviour of each episode: random, medium, replay or expert.
        seed: int64 [n], the task's seed at reset.
        validation: bool [n], held out from all training.
        model: arrays [n, ...] of the MjModel fields that the task changes at reset (reacher's target).
        meta: versions, action repeat, camera-independent facts, returns of the behaviour policies.
    """

    task: str
    physics: NDArray[np.float64]
    observation: NDArray[np.float32]
    action: NDArray[np.float32]
    reward: NDArray[np.float32]
    discount: NDArray[np.float32]
    is_first: NDArray[np.bool_]
    is_terminal: NDArray[np.bool_]
    episode_ends: NDArray[np.int64]
    quality: list[str]
    seed: NDArray[np.int64]
    validation: NDArray[np.bool_]
    model: dict[str, NDArray[np.float64]] = field(default_factory=dict)
    meta: dict[str, str | int | float] = field(default_factory=dict)

    @property
    def episode_starts(self) -> NDArray[np.int64]:
        """int64 [n], each episode's first row."""
        return np.concatenate([[0], self.episode_ends[:-1]]).astype(np.int64)

    def rows_of(self, episode: int) -> slice:
        """The rows of one episode."""
        return slice(int(self.episode_starts[episode]), int(self.episode_ends[episode]))

    def episodes(self, validation: bool) -> list[int]:
        """Indices of the validation episodes, or of the training ones."""
        return np.flatnonzero(self.validation == validation).tolist()


def save_trajectories(data: Trajectories, path: Path) -> None:
    """Write an HDF5 file whose bytes depend on nothing but `data` (the caller renames it into place)."""
    with h5py.File(path, "w", libver="latest") as file:
        file.attrs["task"] = data.task
        for key, value in sorted(data.meta.items()):
            file.attrs[f"meta/{key}"] = value
        for name in (*_ROW_ARRAYS, *_EPISODE_ARRAYS):
            file.create_dataset(name, data=getattr(data, name))
        file.create_dataset("quality", data=np.array([q.encode() for q in data.quality], dtype="S16"))
        group = file.create_group("model")
        for name, values in sorted(data.model.items()):
            group.create_dataset(name, data=values)


def load_trajectories(folder: Path) -> Trajectories:
    """Read and verify `data/trajectories/TASK`.

    Raises:
        DataError: the file is missing, truncated, altered, or its arrays do not fit together.
    """
    verify(folder)
    path = folder / FILE
    try:
        with h5py.File(path, "r") as file:
            arrays = {name: file[name][:] for name in (*_ROW_ARRAYS, *_EPISODE_ARRAYS)}
            quality = [q.decode() for q in file["quality"][:]]
            model = {name: values[:] for name, values in file["model"].items()}
            meta = {key.removeprefix("meta/"): _plain(v) for key, v in file.attrs.items() if key.startswith("meta/")}
            task = str(file.attrs["task"])
    except (OSError, KeyError) as error:
        raise DataError(f"{path} is not a trajectory file of this project: {str(error).splitlines()[0]}") from None
    rows, episodes = len(arrays["reward"]), len(arrays["episode_ends"])
    ends = arrays["episode_ends"]
    for name in _ROW_ARRAYS:
        if len(arrays[name]) != rows:
            raise DataError(f"{path}: {name} has {len(arrays[name])} rows, reward has {rows}")
    for name, values in (("quality", quality), ("seed", arrays["seed"]), ("validation", arrays["validation"])):
        if len(values) != episodes:
            raise DataError(f"{path}: {name} has {len(values)} entries for {episodes} episodes")
    if not episodes or ends[-1] != rows or (np.diff(ends, prepend=0) <= 0).any():
        raise DataError(f"{path}: episode_ends do not cover the {rows} rows")
    return Trajectories(task=task, quality=quality, model=model, meta=meta, **arrays)


def _plain(value: object) -> str | int | float:
    return value.item() if isinstance(value, np.generic) else value  # type: ignore[return-value]
