"""Random windows of trajectories: uniform over starts, never across an episode's end, resumable."""

import os
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from datasets.episodes import Trajectories
from datasets.errors import DataError

_BLOCK = 64  # batches drawn at once: one call of the generator costs as much as copying a tenth of a batch


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


def launched() -> tuple[int, int]:
    """(rank, world) of this process under `torchrun`, from its environment; (0, 1) without it."""
    return int(os.environ.get("RANK", "0")), int(os.environ.get("WORLD_SIZE", "1"))


class WindowSampler:
    """Draws the first rows of random windows; its state is part of a checkpoint.

    Starts may come in groups (tasks, looks) with weights: a window's group is drawn by weight, its start uniformly within the
    group. Without weights every start is as likely as any other. Under several processes all draw the same global batch, of which
    each keeps every `world`-th window from `rank` on: disjoint, and together what one process would draw.
    """

    def __init__(
        self,
        starts: NDArray[np.int64] | Sequence[NDArray[np.int64]],
        batch: int,
        seed: int,
        weights: Sequence[float] | None = None,
        rank: int = 0,
        world: int = 1,
    ) -> None:
        """
        Args:
            starts: int64, rows that a window may start at; or one such array for each group, in one numbering.
            batch: windows of the global batch.
            seed: of the draws.
            weights: of the groups, positive; they need not sum to one.
            rank, world: which of how many processes this is (`launched()` under torchrun).

        Raises:
            ValueError: weights that do not fit the groups, or a batch that `world` does not divide.
        """
        groups = [starts] if isinstance(starts, np.ndarray) else list(starts)
        if weights is not None and (len(weights) != len(groups) or min(weights) <= 0):
            raise ValueError(f"{len(groups)} groups of windows need as many positive weights, got {list(weights)}")
        if batch % world:
            raise ValueError(f"a batch of {batch} windows cannot be shared by {world} processes")
        self._starts = np.concatenate(groups)
        self._batch, self._rank, self._world = batch, rank, world
        self._rng = np.random.Generator(np.random.PCG64(seed))
        self._sizes = np.array([len(group) for group in groups])
        self._first = np.cumsum(self._sizes) - self._sizes  # of each group, in `_starts`
        self._shares = None if weights is None else np.cumsum(np.asarray(weights, np.float64)) / np.sum(weights)
        self._draw()

    def next(self) -> NDArray[np.int64]:
        """int64 [batch / world], the first rows of the next batch of windows; not to be written to."""
        if self._drawn == len(self._block):
            self._draw()
        self._drawn += 1
        rows: NDArray[np.int64] = self._block[self._drawn - 1]
        return rows

    def _draw(self) -> None:
        """Draw the next `_BLOCK` batches."""
        self._generator, self._drawn = dict(self._rng.bit_generator.state), 0
        shape = (_BLOCK, self._batch)
        if self._shares is None:
            chosen = self._rng.integers(len(self._starts), size=shape)
        else:
            group = np.searchsorted(self._shares, self._rng.random(shape), side="right").clip(max=len(self._sizes) - 1)
            chosen = self._first[group] + self._rng.integers(self._sizes[group])
        self._block = self._starts[chosen[:, self._rank :: self._world]]

    def state_dict(self) -> dict[str, Any]:
        """JSON-able: the generator before the block of batches that is being handed out, and how many of it were."""
        return {"generator": self._generator, "drawn": self._drawn}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Continue exactly where `state_dict` was taken."""
        self._rng.bit_generator.state = state["generator"]
        self._draw()
        self._drawn = state["drawn"]
