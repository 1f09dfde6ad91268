"""Random windows of trajectories: uniform over starts, never across an episode's end, resumable."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from datasets.episodes import Trajectories
from datasets.errors import DataError


def window_starts(data: Trajectories, length: int, validation: bool = False) -> NDArray[np.int64]:
    """int64, every row from which `length` rows stay within one training (or validation) episode.

    Raises:
        DataError: no episode is that long.
    """
    episodes = [data.rows_of(episode) for episode in data.episodes(validation)]
    starts = [np.arange(rows.start, rows.stop - length + 1) for rows in episodes]
    joined = np.concatenate([s for s in starts if len(s)] or [np.zeros(0)]).astype(np.int64)
    if not len(joined):
        kind, longest = "validation" if validation else "training", max((r.stop - r.start for r in episodes), default=0)
        raise DataError(f"{data.task}: no window of {length} steps fits; the longest {kind} episode has {longest}")
    return joined


class WindowSampler:
    """Draws row indices [B, L] of random windows; its state is part of a checkpoint."""

    def __init__(self, starts: NDArray[np.int64], batch: int, length: int, seed: int) -> None:
        self._starts, self._batch = starts, batch
        self._offsets = np.arange(length, dtype=np.int64)
        self._rng = np.random.Generator(np.random.PCG64(seed))

    def next(self) -> NDArray[np.int64]:
        """int64 [B, L], the rows of the next batch of windows."""
        chosen = self._starts[self._rng.integers(len(self._starts), size=self._batch)]
        return chosen[:, None] + self._offsets

    def state_dict(self) -> dict[str, Any]:
        """JSON-able state of the generator."""
        return dict(self._rng.bit_generator.state)

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Continue exactly where `state_dict` was taken."""
        self._rng.bit_generator.state = state
