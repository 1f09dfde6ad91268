"""Trajectories, the source of truth: one HDF5 file a task, flat along time, with all that exact re-rendering needs.

Folder `data/trajectories/TASK/`: `trajectories.h5` and its `manifest.json`. Training episodes come first, then validation
episodes, then those simulated with a resized body (held out, too), so that the rows of every look are contiguous.
"""

from collections.abc import Iterable
from dataclasses import fields
from pathlib import Path
from typing import Any

import h5py
import numpy as np
from numpy.typing import NDArray

from datasets.episodes import ROW_ARRAYS, Episode, EpisodeFacts, EpisodeIndex, Meta, Trajectories
from datasets.errors import DataError
from datasets.manifest import verify

FILE = "trajectories.h5"
_EPISODE_ARRAYS = ("episode_ends", "seed", "validation")
_EPISODE_NAMES = ("quality", "variant")
_CHUNK_ROWS = 1024  # and the most rows of a file's HDF5 chunk


class TrajectoryReader:
    """Reads a trajectory file an episode at a time: memory stays that of the longest episode, however many there are.

    Attributes:
        index: the episodes.
        model: names of the MjModel fields stored per episode.

    Raises:
        DataError: the file is missing, truncated, altered, or its arrays do not fit together.
    """

    def __init__(self, folder: Path) -> None:
        self.path = folder / FILE
        verify(folder)
        try:
            self._file = h5py.File(self.path, "r")
            self.index = _read_index(self._file)
            self.model = sorted(self._file["model"])
            rows = {name: len(self._file[name]) for name in ROW_ARRAYS}
        except (OSError, KeyError, ValueError) as error:
            raise DataError(f"{self.path} is not a trajectory file of this project: {_first_line(error)}") from None
        _check(self.path, self.index, rows)

    def episode(self, episode: int) -> Episode:
        """One episode."""
        rows = self.index.rows_of(episode)
        return Episode(**{name: self._file[name][rows] for name in ROW_ARRAYS}, model=self.model_of(episode))

    def read(self, name: str, rows: slice) -> NDArray[Any]:
        """Rows [n, ...] of one of `ROW_ARRAYS`."""
        return np.asarray(self._file[name][rows])

    def size_of(self, name: str) -> int:
        """Width of one of the arrays [T, width]: of `physics` P, 0 where none was recorded; of `observation` O."""
        return int(self._file[name].shape[1])

    @property
    def rows(self) -> int:
        """T."""
        return int(self.index.episode_ends[-1])

    def model_of(self, episode: int) -> dict[str, NDArray[np.float64]]:
        """The stored MjModel fields of one episode."""
        return {name: np.asarray(self._file["model"][name][episode]) for name in self.model}

    def close(self) -> None:
        """Close the file."""
        self._file.close()

    def __enter__(self) -> "TrajectoryReader":
        return self

    def __exit__(self, *error: object) -> None:
        self.close()


def write_trajectories(
    path: Path, task: str, episodes: Iterable[tuple[Episode, EpisodeFacts]], meta: Meta,
    original: dict[str, NDArray[Any]] | None = None,
) -> None:  # fmt: skip
    """Write an HDF5 file from a stream of episodes; its bytes depend on nothing but the content (the caller renames it).

    Args:
        original: the MjModel fields that any episode may have changed, as the task loads them: what stands for a field in
            an episode that left it alone.
    """
    original = original or {}
    facts: list[EpisodeFacts] = []
    ends: list[int] = []
    with h5py.File(path, "w", libver="latest") as file:
        file.attrs["task"] = task
        for key, value in sorted(meta.items()):
            file.attrs[f"meta/{key}"] = value
        group = file.create_group("model")
        for name, values in sorted(original.items()):
            group.create_dataset(name, (0, *values.shape), np.float64, maxshape=(None, *values.shape), chunks=(1, *values.shape))
        for episode, about in episodes:
            start, stop = ends[-1] if ends else 0, (ends[-1] if ends else 0) + len(episode.reward)
            for name in ROW_ARRAYS:
                _append(file, name, getattr(episode, name), start)
            for name, values in original.items():
                group[name].resize(len(facts) + 1, axis=0)
                group[name][len(facts)] = episode.model.get(name, values)
            facts.append(about)
            ends.append(stop)
        file["episode_ends"] = np.array(ends, np.int64)
        file["seed"] = np.array([about.seed for about in facts], np.int64)
        file["validation"] = np.array([about.validation for about in facts], np.bool_)
        for name in _EPISODE_NAMES:
            file[name] = np.array([getattr(about, name).encode() for about in facts], dtype=bytes)


def save_trajectories(data: Trajectories, path: Path) -> None:
    """Write what is in memory, as `write_trajectories` does."""
    episodes = range(len(data.episode_ends))
    stream = (
        (
            Episode(
                **{name: getattr(data, name)[data.rows_of(e)] for name in ROW_ARRAYS},
                model={name: values[e] for name, values in data.model.items()},
            ),
            EpisodeFacts(data.quality[e], int(data.seed[e]), bool(data.validation[e]), data.variant[e]),
        )
        for e in episodes
    )
    write_trajectories(path, data.task, stream, data.meta, {name: values[0] for name, values in data.model.items()})


def load_trajectories(folder: Path) -> Trajectories:
    """Read and verify all of `data/trajectories/TASK`.

    Raises:
        DataError: the file is missing, truncated, altered, or its arrays do not fit together.
    """
    with TrajectoryReader(folder) as reader:
        index = {f.name: getattr(reader.index, f.name) for f in fields(EpisodeIndex)}
        rows = {name: reader._file[name][:] for name in ROW_ARRAYS}
        return Trajectories(**index, **rows, model={name: reader._file["model"][name][:] for name in reader.model})


def _append(file: Any, name: str, values: NDArray[Any], start: int) -> None:
    if name not in file:
        tail = values.shape[1:]
        file.create_dataset(
            name,
            (0, *tail),
            values.dtype,
            maxshape=(None, *(n or None for n in tail)),
            chunks=(_CHUNK_ROWS, *(max(n, 1) for n in tail)),
        )
    file[name].resize(start + len(values), axis=0)
    file[name][start:] = values


def _read_index(file: Any) -> EpisodeIndex:
    arrays = {name: file[name][:] for name in _EPISODE_ARRAYS}
    names: dict[str, Any] = {name: [value.decode() for value in file[name][:]] for name in _EPISODE_NAMES}
    meta = {key.removeprefix("meta/"): _plain(v) for key, v in file.attrs.items() if key.startswith("meta/")}
    return EpisodeIndex(task=str(file.attrs["task"]), **arrays, **names, meta=meta)


def _check(path: Path, index: EpisodeIndex, lengths: dict[str, int]) -> None:
    rows, episodes, ends = lengths["reward"], len(index.episode_ends), index.episode_ends
    for name in ROW_ARRAYS:
        if lengths[name] != rows:
            raise DataError(f"{path}: {name} has {lengths[name]} rows, reward has {rows}")
    for name in ("quality", "variant", "seed", "validation"):
        if len(getattr(index, name)) != episodes:
            raise DataError(f"{path}: {name} has {len(getattr(index, name))} entries for {episodes} episodes")
    if not episodes or ends[-1] != rows or (np.diff(ends, prepend=0) <= 0).any():
        raise DataError(f"{path}: episode_ends do not cover the {rows} rows")


def _first_line(error: Exception) -> str:
    return (str(error).splitlines() or [type(error).__name__])[0]


def _plain(value: object) -> str | int | float:
    return value.item() if isinstance(value, np.generic) else value  # type: ignore[return-value]
