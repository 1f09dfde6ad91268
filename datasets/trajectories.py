"""Trajectories, the source of truth: one HDF5 file a task, flat along time, with all that exact re-rendering needs.

Folder `data/trajectories/TASK/`: `trajectories.h5` and its `manifest.json`. Training episodes come first, then validation
episodes, then those simulated with a resized body (held out, too), so that the rows of every look are contiguous.
"""

import json
from collections.abc import Iterable
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any, NamedTuple

import h5py
import numpy as np
from numpy.typing import NDArray

from datasets.errors import DataError
from datasets.frames import DEFAULT, Look, look_from
from datasets.manifest import verify

FILE = "trajectories.h5"
_ROW_ARRAYS = ("physics", "observation", "action", "reward", "discount", "is_first", "is_terminal")
_EPISODE_ARRAYS = ("episode_ends", "seed", "validation")
_EPISODE_NAMES = ("quality", "variant")
_CHUNK_ROWS = 1024  # and the most rows of a file's HDF5 chunk
Meta = dict[str, str | int | float]


@dataclass(frozen=True)
class Episode:
    """One episode's rows, [t, ...] as `Trajectories` names and shapes them, and the model fields its reset changed."""

    physics: NDArray[np.float64]
    observation: NDArray[np.float32]
    action: NDArray[np.float32]
    reward: NDArray[np.float32]
    discount: NDArray[np.float32]
    is_first: NDArray[np.bool_]
    is_terminal: NDArray[np.bool_]
    model: dict[str, NDArray[np.float64]] = field(default_factory=dict)

    @property
    def total(self) -> float:
        """The undiscounted return."""
        return float(self.reward.sum(dtype=np.float64))


class EpisodeFacts(NamedTuple):
    """What is known of an episode beside its rows; see `EpisodeIndex`."""

    quality: str
    seed: int
    validation: bool
    variant: str = DEFAULT


@dataclass(frozen=True, kw_only=True)
class EpisodeIndex:
    """The episodes of a task, without their rows.

    Attributes:
        episode_ends: int64 [n], row after each episode's last.
        quality: the behaviour of each episode: random, medium, replay or expert (imported data may use other words).
        seed: int64 [n], the task's seed at reset; -1 where unknown.
        validation: bool [n], held out from all training.
        variant: of each episode, the look whose body it was simulated with: `default` (all, if left out), or one of axis size.
        meta: versions, action repeat, returns of the behaviour policies.
    """

    task: str
    episode_ends: NDArray[np.int64]
    quality: list[str]
    seed: NDArray[np.int64]
    validation: NDArray[np.bool_]
    variant: list[str] = field(default_factory=list)
    meta: Meta = field(default_factory=dict)

    def __post_init__(self) -> None:
        if not self.variant:
            object.__setattr__(self, "variant", [DEFAULT] * len(self.episode_ends))

    @property
    def episode_starts(self) -> NDArray[np.int64]:
        """int64 [n], each episode's first row."""
        return np.concatenate([[0], self.episode_ends[:-1]]).astype(np.int64)

    def rows_of(self, episode: int) -> slice:
        """The rows of one episode."""
        return slice(int(self.episode_ends[episode - 1]) if episode else 0, int(self.episode_ends[episode]))

    @property
    def sizes(self) -> list[Look]:
        """The looks of axis size that episodes were simulated with (kept in `meta`)."""
        return [look_from(raw) for raw in json.loads(str(self.meta.get("sizes", "[]")))]

    def episodes(self, validation: bool, variant: str = DEFAULT) -> list[int]:
        """Indices of the validation episodes, or of the training ones, simulated with the body of `variant`."""
        same = np.array([v == variant for v in self.variant])
        return np.flatnonzero((self.validation == validation) & same).tolist()


@dataclass(frozen=True, kw_only=True)
class Trajectories(EpisodeIndex):
    """All episodes of one task, in memory.

    Attributes:
        physics: float64 [T, P], MuJoCo's full integration state (`mj_getState`, mjSTATE_INTEGRATION); P = 0 where the
            data was imported without one.
        observation: float32 [T, O], the task's own observation, flattened in its own order.
        action: float32 [T, A] in the task's units; the action that led to row t, zeros where `is_first`.
        reward: float32 [T], summed over the action repeat; arrives with row t, 0 where `is_first`.
        discount: float32 [T]; 0 where the episode ended for good.
        is_first, is_terminal: bool [T].
        model: arrays [n, ...] of the MjModel fields that the task changes at reset (reacher's target).
    """

    physics: NDArray[np.float64]
    observation: NDArray[np.float32]
    action: NDArray[np.float32]
    reward: NDArray[np.float32]
    discount: NDArray[np.float32]
    is_first: NDArray[np.bool_]
    is_terminal: NDArray[np.bool_]
    model: dict[str, NDArray[np.float64]] = field(default_factory=dict)


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
            rows = {name: len(self._file[name]) for name in _ROW_ARRAYS}
        except (OSError, KeyError, ValueError) as error:
            raise DataError(f"{self.path} is not a trajectory file of this project: {_first_line(error)}") from None
        _check(self.path, self.index, rows)

    def episode(self, episode: int) -> Episode:
        """One episode."""
        rows = self.index.rows_of(episode)
        return Episode(**{name: self._file[name][rows] for name in _ROW_ARRAYS}, model=self.model_of(episode))

    def physics(self, rows: slice) -> NDArray[np.float64]:
        """float64 [rows, P]."""
        return np.asarray(self._file["physics"][rows])

    def reward(self, rows: slice) -> NDArray[np.float32]:
        """float32 [rows]."""
        return np.asarray(self._file["reward"][rows])

    @property
    def state_size(self) -> int:
        """P; 0 where no physics was recorded."""
        return int(self._file["physics"].shape[1])

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
            for name in _ROW_ARRAYS:
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
    names = [f.name for f in fields(Episode) if f.name != "model"]
    stream = (
        (
            Episode(
                **{name: getattr(data, name)[data.rows_of(e)] for name in names},
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
        rows = {name: reader._file[name][:] for name in _ROW_ARRAYS}
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
    for name in _ROW_ARRAYS:
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
