"""Replay: random windows of the collected trajectories and of the agent's own episodes, in one batch."""

import json
from typing import cast

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from trainers.agent.episodes import Episode
from trainers.data import Rows
from trainers.worldmodel import Batch
from trainers.worldmodel.types import each


class Replay:
    """Draws windows [B, L], each from within one episode: first the offline ones of a batch, then the online ones.

    Online rows lie in tensors that grow by doubling, so a draw costs the same however much there is.
    """

    def __init__(
        self, offline: Rows, starts: NDArray[np.int64], batch: int, length: int, offline_fraction: float, seed: int,
        stacked: int = 1,
    ) -> None:  # fmt: skip
        """
        Args:
            offline: collected rows [T, ...], on the device that batches are wanted on; T may be 0.
            starts: int64, the rows of `offline` at which a window may start (`datasets.windows.window_starts`).
            batch: windows per batch, B.
            length: steps per window, L.
            offline_fraction: of each batch, from `offline`, as soon as there are online windows.
            seed: of the draws.
            stacked: times that an episode's first row is a start: rows in an observation (`trainers.tdmpc2.losses.cut`).
        """
        self._stacked = stacked
        first = offline.is_first.cpu().numpy()[starts]
        self._offline, self._starts = offline, starts.repeat(np.where(first, stacked, 1))
        self._batch, self._length = batch, length
        self._offline_windows = round(batch * offline_fraction)
        self._online = Rows._make(each(lambda values: values.new_empty((0, *values.shape[1:])), offline))
        self._online_starts: list[int] = []
        self._rows = 0
        self._rng = np.random.Generator(np.random.PCG64(seed))

    @property
    def online_rows(self) -> int:
        """Rows of online episodes held."""
        return self._rows

    @property
    def ready(self) -> bool:
        """Whether there is any window."""
        return bool(len(self._starts) or self._online_starts)

    @property
    def online(self) -> tuple[Tensor, Tensor | None]:
        """Observations [n, *observation_shape] and, where they are kept, frames [n, H, W, 3] of the online episodes."""
        rows = Rows._make(each(lambda values: values[: self._rows], self._online))
        return rows.observation, rows.frames

    def add(self, episode: Episode) -> None:
        """Take in one whole online episode; one shorter than a window is never drawn from."""
        end = self._rows + len(episode.reward)
        if end > len(self._online.reward):
            room = max(end, 2 * len(self._online.reward))
            self._online = Rows._make(each(lambda values: _grown(values, room), self._online))
        for held, new in zip(self._online, episode, strict=True):
            if held is not None:
                held[self._rows : end] = torch.from_numpy(new)
        starts = range(self._rows, end - self._length + 1)
        self._online_starts.extend([*starts[:1]] * (self._stacked - 1) + [*starts])
        self._rows = end

    def sample(self) -> tuple[Batch, Tensor]:
        """The next windows [B, L, ...], and their first rows, int64 [B]: collected rows are numbered first, then own."""
        online = self._batch - (self._offline_windows if len(self._starts) else 0) if self._online_starts else 0
        batch, own, starts = None, None, list[NDArray[np.int64]]()
        if online < self._batch:
            offline = self._starts[self._rng.integers(len(self._starts), size=self._batch - online)]
            batch = self._windows(self._offline, offline)
            starts.append(offline)
        if online:
            chosen = self._rng.integers(len(self._online_starts), size=online)
            drawn = np.array([self._online_starts[i] for i in chosen])
            own = self._windows(self._online, drawn)
            starts.append(drawn + len(self._offline.reward))
        numbers = torch.from_numpy(np.concatenate(starts)).to(self._offline.reward.device)
        if batch is None or own is None:
            return cast(Batch, batch or own), numbers
        both = zip(batch, own, strict=True)
        return Batch._make(None if a is None or b is None else torch.cat([a, b]) for a, b in both), numbers

    def state(self) -> str:
        """The generator's state, as text; the episodes are kept by whoever added them."""
        return json.dumps(self._rng.bit_generator.state)

    def load_state(self, state: str) -> None:
        """Continue the draws exactly where `state` was taken, given the same episodes."""
        self._rng.bit_generator.state = json.loads(state)

    def _windows(self, rows: Rows, starts: NDArray[np.int64]) -> Batch:
        return rows.windows(torch.from_numpy(starts).to(rows.reward.device), self._length)


def _grown(values: Tensor, room: int) -> Tensor:
    grown = values.new_empty((room, *values.shape[1:]))
    grown[: len(values)] = values
    return grown
