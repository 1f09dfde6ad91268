"""What hands a trainer its batches: rows held in memory (the GPU's, where they fit), or mapped from disk and read ahead."""

import queue
import threading
from collections.abc import Sequence
from typing import Any, Literal, NamedTuple, Protocol

import numpy as np
import psutil
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn.functional import pad

from datasets.episodes import Trajectories
from datasets.mapped import MappedRows
from datasets.tokens import StoredTokens
from datasets.windows import WindowSampler
from trainers.data import Rows, every_window, firsts
from trainers.worldmodel import Batch
from trainers.worldmodel.types import each

Place = Literal["gpu", "ram", "map"]
_SHARE = 0.6  # of the free memory that rows may take
_AHEAD = 3  # batches read ahead of the one in use


class Feed(Protocol):
    """Random windows, batch after batch.

    Attributes:
        device: that batches are on.
    """

    device: torch.device

    def next(self) -> Batch:
        """The next batch [B, L, ...]; valid until the call after it."""
        ...

    def observations(self, rows: NDArray[np.int64]) -> Tensor:
        """The first look's values [n, ...] of single rows."""
        ...

    def frames(self, rows: NDArray[np.int64]) -> Tensor | None:
        """The first look's frames [n, H, W, 3] of single rows, where batches have them."""
        ...

    def state_dict(self) -> dict[str, Any]:
        """JSON-able: what the batches after the last one handed out depend on."""
        ...

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Go on where `state_dict` was taken; before the first batch."""
        ...


def place(size: int, can_map: bool, device: str) -> tuple[Place, str]:
    """Where `size` bytes of rows should be read from, and why in words: the GPU, main memory, or a map of the shards."""
    free = psutil.virtual_memory().available
    if device != "cpu":
        room, _ = torch.cuda.mem_get_info(torch.device(device))
        if size <= _SHARE * room:
            return "gpu", f"{size / 1e6:.0f} MB on the GPU ({room / 1e9:.1f} GB free)"
    if size <= _SHARE * free or not can_map:
        return "ram", f"{size / 1e6:.0f} MB in memory ({free / 1e9:.1f} GB free)"
    return "map", f"{size / 1e6:.0f} MB mapped and read ahead (only {free / 1e9:.1f} GB of memory free)"


class HeldFeed:
    """Windows of rows that are held in one memory, always in the same tensors; moved to `device` if they are elsewhere."""

    def __init__(self, rows: Rows, sampler: WindowSampler, length: int, device: str = "cpu") -> None:
        self._rows, self._sampler = rows, sampler
        self._windows = list(each(lambda values: every_window(values, length), rows))
        self._batch = Batch._make(each(lambda values: torch.empty(0, dtype=values.dtype, device=values.device), rows))
        self.device = torch.device(device)

    def next(self) -> Batch:
        held = self._rows.reward.device
        starts = torch.from_numpy(self._sampler.next())
        if held.type == "cuda":  # from pinned memory, so that nobody waits
            starts = starts.pin_memory().to(held, non_blocking=True)
        for windows, out in zip(self._windows, self._batch, strict=True):
            if windows is not None:
                torch.index_select(windows, 0, starts, out=out)
        batch = self._batch
        return batch if self.device == held else Batch._make(each(lambda values: values.to(self.device), batch))

    def observations(self, rows: NDArray[np.int64]) -> Tensor:
        return self._rows.observation[torch.from_numpy(rows)].to(self.device)

    def frames(self, rows: NDArray[np.int64]) -> Tensor | None:
        frames = self._rows.frames
        return None if frames is None else frames[torch.from_numpy(rows)].to(self.device)

    def state_dict(self) -> dict[str, Any]:
        return self._sampler.state_dict()

    def load_state_dict(self, state: dict[str, Any]) -> None:
        self._sampler.load_state_dict(state)


class _Slot:
    """Memory for one batch, pinned where a GPU reads it; `copied` is done when the GPU has."""

    def __init__(self, arrays: Sequence[tuple[tuple[int, ...], torch.dtype]], pinned: bool) -> None:
        self.batch = Batch(*(torch.empty(shape, dtype=dtype, pin_memory=pinned) for shape, dtype in arrays))
        self.state: dict[str, Any] = {}
        self.copied: Any = None


class Part(NamedTuple):
    """One look of a task: its trajectories, and row for row its embeddings (checked by `trainers.data.check_rows`).

    Attributes:
        frames: that the embeddings were made of (`check_frames`), where a model reconstructs them; of all parts or of none.
    """

    data: Trajectories
    values: MappedRows | StoredTokens
    frames: MappedRows | None = None


class MappedFeed:
    """Windows copied from mapped shards by a thread, a few batches ahead of the trainer.

    Starts are numbered through the parts, one after another, as `trainers.data.join_rows` does; the state is that after the
    batch handed out last, whatever was read ahead of it.
    """

    def __init__(self, parts: Sequence[Part], sampler: WindowSampler, batch: int, length: int, device: str) -> None:
        """
        Args:
            parts: looks of one task, or of several; observations of one shape, actions are padded with zeros to the widest.
            sampler: of starts in all parts. batch: windows that it draws at once.
            length: steps of a window.
            device: that batches are wanted on.
        """
        self._values, self._sampler, self._length = [part.values for part in parts], sampler, length
        self._frames = [part.frames for part in parts if part.frames is not None]
        self.device = torch.device(device)
        self._firsts = firsts([values.shape[0] for values in self._values])
        tasks = {id(part.data): part.data for part in parts}
        self._task_of = np.array([list(tasks).index(id(part.data)) for part in parts])
        self._rest = [_rest_windows(data, length) for data in tasks.values()]
        first = torch.from_numpy(np.empty(0, self._values[0].dtype)).dtype
        widest = max((rest[0].shape[2] for rest in self._rest), default=0)
        shapes = [(self._values[0].shape[1:], first), ((widest,), self._rest[0][0].dtype)]
        shapes += [(tuple(values.shape[2:]), values.dtype) for values in self._rest[0][1:]]
        shapes += [(self._frames[0].shape[1:], torch.uint8)] if self._frames else []
        arrays = [((batch, length, *shape), dtype) for shape, dtype in shapes]
        self._free: queue.SimpleQueue[_Slot] = queue.SimpleQueue()
        self._ready: queue.SimpleQueue[_Slot | BaseException] = queue.SimpleQueue()
        for _ in range(_AHEAD + 2):
            self._free.put(_Slot(arrays, pinned=self.device.type == "cuda"))
        self._state = sampler.state_dict()
        self._used: _Slot | None = None
        self._thread: threading.Thread | None = None

    def next(self) -> Batch:
        if self._thread is None:
            self._thread = threading.Thread(target=self._read, daemon=True)
            self._thread.start()
        if self._used is not None:
            self._free.put(self._used)
        slot = self._ready.get()
        if isinstance(slot, BaseException):
            raise slot
        self._used, self._state = slot, slot.state
        if self.device.type == "cpu":
            return slot.batch
        batch = Batch._make(each(lambda values: values.to(self.device, non_blocking=True), slot.batch))
        slot.copied = torch.cuda.Event()
        slot.copied.record()
        return batch

    def _read(self) -> None:
        try:
            while True:
                slot = self._free.get()
                if slot.copied is not None:
                    slot.copied.synchronize()
                self._fill(slot)
                self._ready.put(slot)
        except BaseException as error:  # raised where the batch was due
            self._ready.put(error)

    def _fill(self, slot: _Slot) -> None:
        starts = self._sampler.next()
        slot.state = self._sampler.state_dict()
        read: list[tuple[Sequence[MappedRows | StoredTokens], Tensor]] = [(self._values, slot.batch.observation)]
        if slot.batch.frames is not None:
            read.append((self._frames, slot.batch.frames))
        if len(self._values) == 1:
            for parts, out in read:
                parts[0].windows(starts, self._length, out.numpy())
            self._fill_rest(slot.batch, self._rest[0], torch.from_numpy(starts), None)
            return
        part = np.searchsorted(self._firsts, starts, side="right") - 1
        starts = starts - self._firsts[part]
        for number in np.unique(part).tolist():
            here = np.flatnonzero(part == number)
            for parts, out in read:
                out.numpy()[here] = parts[number].windows(starts[here], self._length)
        task = self._task_of[part]
        for number in np.unique(task).tolist():
            own = np.flatnonzero(task == number)
            places = None if len(self._rest) == 1 else torch.from_numpy(own)
            self._fill_rest(slot.batch, self._rest[number], torch.from_numpy(starts[own]), places)

    @staticmethod
    def _fill_rest(batch: Batch, rest: list[Tensor], starts: Tensor, here: Tensor | None) -> None:
        """Actions, rewards and flags of the windows from `starts` on, at places `here` of the batch, or at all."""
        for windows, out in zip(rest, (batch.action, batch.reward, batch.is_first, batch.is_terminal), strict=True):
            if here is None:
                torch.index_select(windows, 0, starts, out=out)
                continue
            found = torch.index_select(windows, 0, starts)
            if out.ndim == 3:  # actions, of which this task may have fewer
                found = pad(found, (0, out.shape[2] - found.shape[2]))
            out[here] = found

    def observations(self, rows: NDArray[np.int64]) -> Tensor:
        return torch.from_numpy(self._values[0].rows(rows)).to(self.device)

    def frames(self, rows: NDArray[np.int64]) -> Tensor | None:
        return torch.from_numpy(self._frames[0].rows(rows)).to(self.device) if self._frames else None

    def state_dict(self) -> dict[str, Any]:
        return self._state

    def load_state_dict(self, state: dict[str, Any]) -> None:
        if self._thread is not None:
            raise RuntimeError("a feed that has handed out batches cannot be moved")
        self._sampler.load_state_dict(state)
        self._state = state


def _rest_windows(data: Trajectories, length: int) -> list[Tensor]:
    """Every window of the actions, rewards and flags, as views."""
    held = (data.action, data.reward, data.is_first, data.is_terminal)
    return [every_window(torch.from_numpy(np.ascontiguousarray(array)), length) for array in held]
