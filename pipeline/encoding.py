"""Where a stored row's values come from: a frozen encoder, the frames themselves, or the task's observation."""

import queue
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol, TypeVar

import numpy as np
from numpy.typing import NDArray

from datasets.episodes import Trajectories
from datasets.frames import FrameSet, load_frames_index, read_frame_rows
from pipeline.log import log
from pipeline.params import Params, canonical
from pipeline.weights import pretrained_on, resolve_weights

if TYPE_CHECKING:
    from pipeline.encoders.base import Encoder

T = TypeVar("T")
_AHEAD = 4  # batches decoded ahead of the forward pass
_NO_STATE = "none: the data has no state; a blind control"
Rows = NDArray[np.int64]


class Source(Protocol):
    """Values for rows, in batches, and what identifies them.

    Attributes:
        shape: of one row's value. dtype: as stored. attributes: for the Zarr group.
    """

    shape: tuple[int, ...]
    dtype: str
    attributes: dict[str, Any]

    def batches(self, frames: FrameSet, rows: Rows) -> Iterator[NDArray[Any]]:
        """Values [n, *shape] of ascending `rows`, batch after batch, seen under the look of `frames`."""
        ...


def ahead(items: Iterator[T]) -> Iterator[T]:
    """Run an iterator in a thread, a few items ahead of its consumer; its exception is raised where it was due."""
    done: Any = object()
    slots: queue.Queue[Any] = queue.Queue(_AHEAD)

    def work() -> None:
        try:
            for item in items:
                slots.put(item)
            slots.put(done)
        except BaseException as error:  # handed to the consumer
            slots.put(error)

    threading.Thread(target=work, daemon=True).start()
    while (item := slots.get()) is not done:
        if isinstance(item, BaseException):
            raise item
        yield item


def _stacked(frames: Iterator[NDArray[np.uint8]], batch: int) -> Iterator[NDArray[np.uint8]]:
    held: list[NDArray[np.uint8]] = []
    for frame in frames:
        held.append(frame)
        if len(held) == batch:
            yield np.stack(held)
            held = []
    if held:
        yield np.stack(held)


class _FromObservation:
    dtype = "float32"

    def __init__(self, data: Trajectories) -> None:
        self._values = data.observation
        self.attributes = {"preprocessing": "the task's observation, flattened"}
        if not data.observation.shape[1]:  # imported images: what is learned from actions and rewards alone
            self._values = np.zeros((len(data.observation), 1), np.float32)
            self.attributes = {"preprocessing": _NO_STATE}
            log(f"encode state: {data.task} has no state; a constant 0 stands for it, so that `state` is a blind control")
        self.shape: tuple[int, ...] = self._values.shape[1:]

    def batches(self, frames: FrameSet, rows: Rows) -> Iterator[NDArray[Any]]:
        yield self._values[rows]


class _FromFrames:
    dtype = "uint8"

    def __init__(self, folder: Path, data: Trajectories, batch: int) -> None:
        size = load_frames_index(folder).size
        self._folder, self._starts, self._batch = folder, data.episode_starts, batch
        self.shape: tuple[int, ...] = (size, size, 3)
        self.attributes = {"preprocessing": "none: the frame itself"}

    def batches(self, frames: FrameSet, rows: Rows) -> Iterator[NDArray[Any]]:
        yield from ahead(_stacked(read_frame_rows(self._folder, frames, self._starts, rows), self._batch))


class _FromEncoder:
    def __init__(self, p: Params, encoder: str, task: str, folder: Path, data: Trajectories) -> None:
        import torch

        torch.set_num_threads(p.compute.threads)
        self._encoder, sha256 = open_encoder(p, encoder, task)
        self._frames = _FromFrames(folder, data, p.encode.batch)
        self._batch = p.encode.batch
        self.shape: tuple[int, ...] = (self._encoder.dim,)
        self.dtype: str = p.encode.dtype
        self.attributes = {
            "weights_sha256": sha256, "layer": self._encoder.layer, "pooling": self._encoder.pooling,
            "preprocessing": self._encoder.preprocessing, "device": p.compute.device, "batch": p.encode.batch,
            "threads": p.compute.threads, "compiled": False, "torch": torch.__version__.split("+")[0],
            **pretrained_on(encoder, task),
        }  # fmt: skip

    def batches(self, frames: FrameSet, rows: Rows) -> Iterator[NDArray[Any]]:
        for batch in self._frames.batches(frames, rows):
            padded = np.concatenate([batch, np.repeat(batch[-1:], self._batch - len(batch), axis=0)])
            yield self._encoder.embed(padded)[: len(batch)].cpu().numpy().astype(self.dtype)


def open_encoder(p: Params, encoder: str, task: str) -> "tuple[Encoder, str | None]":
    """A frozen encoder, registered or `custom`, with the weights that `pretrain` made or resolved, and their sha256.

    Raises:
        UserError: its weights are missing, altered or of another encoder.
    """
    from pipeline.encoders import load_encoder
    from pipeline.encoders.custom import load_custom

    file, sha256 = resolve_weights(encoder, task)
    if custom := p.custom.get(encoder):
        return load_custom(encoder, custom.base, custom.layer, custom.pooling, file, p.compute.device), sha256
    return load_encoder(encoder, file, p.compute.device), sha256


def open_source(p: Params, encoder: str, task: str, data: Trajectories) -> Source:
    """The source of one representation's stored rows.

    Raises:
        UserError: its weights are missing, altered or of another encoder.
    """
    name, folder = canonical(encoder), Path("data/frames") / task
    source: Source
    if name == "state":
        source = _FromObservation(data)
    elif name == "scratch":
        source = _FromFrames(folder, data, p.encode.batch)
    else:
        source = _FromEncoder(p, encoder, task, folder, data)
    source.attributes = {
        "encoder": name, "weights_sha256": None, "layer": None, "pooling": None, "dtype": source.dtype, **source.attributes,
    }  # fmt: skip
    return source
