"""What a trainer is handed, stated structurally: it imports nothing of the simulator or the encoders."""

from collections.abc import Sequence
from typing import Any, NamedTuple, Protocol

import numpy as np
from numpy.typing import NDArray

Observation = dict[str, NDArray[Any]]


class Env(Protocol):
    """One Gymnasium-style environment. Observations hold `state` float32 [O] and, where rendered, `image` uint8 [H, W, 3]."""

    action_low: NDArray[np.float32]  # [A], the task's units
    action_high: NDArray[np.float32]  # [A]

    def reset(self, *, seed: int | None = None) -> tuple[Observation, dict[str, Any]]:
        """First observation of a new episode and an info dict."""
        ...

    def step(self, action: NDArray[np.float32]) -> tuple[Observation, float, bool, bool, dict[str, Any]]:
        """(observation, reward summed over the action repeat, terminated, truncated, info) of one agent step."""
        ...


class Step(NamedTuple):
    """What one environment answers to an action; `reward` is summed over the action repeat."""

    observation: Observation
    reward: float
    terminated: bool
    truncated: bool


class Environments(Protocol):
    """Several environments of one task, stepped together."""

    action_low: NDArray[np.float32]  # [A]
    action_high: NDArray[np.float32]  # [A]

    def __len__(self) -> int: ...

    def reset(self, seeds: Sequence[int]) -> list[Observation]:
        """Begin an episode in each of the first `len(seeds)` environments."""
        ...

    def step(self, which: Sequence[int], actions: NDArray[np.float32]) -> list[Step]:
        """One agent step of the environments `which`, in their order; actions [len(which), A]."""
        ...

    def close(self) -> None:
        """Free what they hold."""
        ...


class ObservationEncoder(Protocol):
    """Turns a batch of observations into what the world model reads, exactly as the stored embeddings were made."""

    shape: tuple[int, ...]  # (D,) for vectors, (H, W, 3) for raw frames

    def __call__(self, observations: list[Observation]) -> NDArray[Any]:
        """[B, *shape], float32 (vectors) or uint8 (frames)."""
        ...
