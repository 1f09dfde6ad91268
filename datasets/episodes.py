"""Episodes of a task in memory: their rows, and what is known of them beside."""

import json
from dataclasses import dataclass, field
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from datasets.frames import DEFAULT, FrameShard, Look, look_from

Meta = dict[str, str | int | float]


@dataclass(frozen=True, kw_only=True)
class EpisodeRows:
    """Rows of one episode [t, ...] or of all [T, ...].

    Attributes:
        physics: float64 [T, P], MuJoCo's full integration state (`mj_getState`, mjSTATE_INTEGRATION); P = 0 where the
            data was imported without one.
        observation: float32 [T, O], the task's own observation, flattened in its own order.
        action: float32 [T, A] in the task's units; the action that led to row t, zeros where `is_first`.
        reward: float32 [T], summed over the action repeat; arrives with row t, 0 where `is_first`.
        discount: float32 [T]; 0 where the episode ended for good.
        is_first, is_terminal: bool [T].
    """

    physics: NDArray[np.float64]
    observation: NDArray[np.float32]
    action: NDArray[np.float32]
    reward: NDArray[np.float32]
    discount: NDArray[np.float32]
    is_first: NDArray[np.bool_]
    is_terminal: NDArray[np.bool_]


ROW_ARRAYS = ("physics", "observation", "action", "reward", "discount", "is_first", "is_terminal")


@dataclass(frozen=True, kw_only=True)
class Episode(EpisodeRows):
    """One episode's rows, and `model`: the MjModel fields [...] that its reset changed (reacher's target)."""

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

    def shards(self, variant: str, episodes: list[int], per_shard: int) -> list[FrameShard]:
        """How the frames of a look's episodes are spread over tars, `per_shard` whole ones in each."""
        shards = []
        for number, first in enumerate(range(0, len(episodes), per_shard)):
            chosen = episodes[first : first + per_shard]
            rows = [[self.rows_of(e).start, self.rows_of(e).stop] for e in chosen]
            shards.append(FrameShard(f"{variant}/{number:06d}.tar", chosen, rows))
        return shards

    @property
    def sizes(self) -> list[Look]:
        """The looks of axis size that episodes were simulated with (kept in `meta`)."""
        return [look_from(raw) for raw in json.loads(str(self.meta.get("sizes", "[]")))]

    def episodes(self, validation: bool, variant: str = DEFAULT) -> list[int]:
        """Indices of the validation episodes, or of the training ones, simulated with the body of `variant`."""
        same = np.array([v == variant for v in self.variant])
        return np.flatnonzero((self.validation == validation) & same).tolist()


@dataclass(frozen=True, kw_only=True)
class Trajectories(EpisodeIndex, EpisodeRows):
    """All episodes of one task; `model`: arrays [n, ...] of the MjModel fields that the task changes at reset."""

    model: dict[str, NDArray[np.float64]] = field(default_factory=dict)
