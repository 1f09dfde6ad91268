"""Several environments of one task, stepped together."""

from collections.abc import Callable, Sequence

import numpy as np
from numpy.typing import NDArray

from trainers.protocols import Env, Observation, Step


class Here:
    """In this process, one after another; satisfies `trainers.protocols.Environments`."""

    def __init__(self, make: Callable[[], Env], count: int) -> None:
        self._envs = [make() for _ in range(count)]
        self.action_low, self.action_high = self._envs[0].action_low, self._envs[0].action_high

    def __len__(self) -> int:
        return len(self._envs)

    def reset(self, seeds: Sequence[int]) -> list[Observation]:
        return [env.reset(seed=seed)[0] for env, seed in zip(self._envs, seeds, strict=False)]

    def step(self, which: Sequence[int], actions: NDArray[np.float32]) -> list[Step]:
        return [Step(*self._envs[i].step(action)[:4]) for i, action in zip(which, actions, strict=True)]

    def close(self) -> None:
        """Nothing is held."""
