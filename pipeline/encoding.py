"""Where a stored row's values come from: a frozen encoder, the frames themselves, or the task's observation."""

from collections.abc import Set
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol

import numpy as np
from numpy.typing import NDArray

from datasets.embedding_shards import ARRAY, Layout
from datasets.errors import UserError
from datasets.frames import load_frames_index
from datasets.manifest import digest
from datasets.trajectories import TrajectoryReader
from pipeline.encoders.area import shrunk
from pipeline.encoders.registry import EncoderInfo, info_of
from pipeline.frozen import open_encoder
from pipeline.log import log
from pipeline.params import Params, canonical
from pipeline.tokens import TokenArrays
from pipeline.weights import pretrained_on

if TYPE_CHECKING:
    from torch import Tensor

_NO_STATE = "none: the data has no state; a blind control"
_GPU_BATCH = 1024  # frames read together where a GPU embeds them; halved until they fit
Rows = NDArray[np.int64]


class Array(NamedTuple):
    """One array that is stored, and what identifies its values."""

    layout: Layout
    attributes: dict[str, Any]


class Source(Protocol):
    """Values for rows, batch by batch, and what identifies them.

    Attributes:
        arrays: what is stored of a row, by name.
        reads_frames: whether it needs the frames of the rows.
        batch: frames of a batch.
    """

    arrays: dict[str, Array]
    reads_frames: bool
    batch: int

    def prepare(self, frames: NDArray[np.uint8] | None) -> Any:
        """What `embed` takes: uint8 frames [n, H, W, 3] preprocessed. Runs ahead of it, in another thread."""
        ...

    def embed(self, prepared: Any, rows: Rows, wanted: Set[str]) -> dict[str, Any]:
        """The `wanted` arrays' values [n, ...] of `rows`, ascending: arrays or tensors on any device."""
        ...


class _FromObservation:
    reads_frames = False

    def __init__(self, p: Params, task: str, reader: TrajectoryReader) -> None:
        self._reader, self.batch, self._size = reader, p.encode.shard, reader.size_of("observation")
        attributes = _attributes("state", "float32", preprocessing="the task's observation, flattened")
        attributes["trajectories"] = digest(reader.path.parent)
        if not self._size:  # imported images: what is learned from actions and rewards alone
            attributes["preprocessing"] = _NO_STATE
            log(f"encode state: {task} has no state; a constant 0 stands for it, so that `state` is a blind control")
        self.arrays = {ARRAY: Array(_layout(p, reader.rows, (self._size or 1,), "float32"), attributes)}

    def prepare(self, frames: NDArray[np.uint8] | None) -> Any:
        return None

    def embed(self, prepared: Any, rows: Rows, wanted: Set[str]) -> dict[str, Any]:
        if not self._size:
            return {ARRAY: np.zeros((len(rows), 1), np.float32)}
        first = int(rows[0])
        return {ARRAY: self._reader.read("observation", slice(first, int(rows[-1]) + 1))[rows - first]}


class _FromFrames:
    reads_frames = True

    def __init__(self, p: Params, info: EncoderInfo, task: str, rows: int) -> None:
        size = load_frames_index(Path("data/frames") / task).size
        self._side = info.side or size
        how = "none: the frame itself" if info.side is None else f"area mean to {info.side} x {info.side} pixels"
        if size < self._side:
            raise UserError(
                f"{info.name}: the frames of {task} have {size} pixels a side, it shrinks them to {self._side}; "
                "raise render.size, or select scratch, which reads them as they are"
            )
        layout = _layout(p, rows, (self._side, self._side, 3), "uint8")._replace(compress=True)
        self.arrays = {ARRAY: Array(layout, _attributes(info.name, "uint8", preprocessing=how))}
        self.batch = p.encode.batch

    def prepare(self, frames: NDArray[np.uint8] | None) -> Any:
        assert frames is not None
        return shrunk(frames, self._side)

    def embed(self, prepared: Any, rows: Rows, wanted: Set[str]) -> dict[str, Any]:
        return {ARRAY: prepared}


class _FromEncoder:
    reads_frames = True

    def __init__(self, p: Params, encoder: str, task: str, rows: int) -> None:
        import torch

        from trainers.arithmetic import set_arithmetic

        set_arithmetic(p.compute.threads, "fp32" if p.encode.precision == "fp32" else "bf16")
        self._encoder, sha256 = open_encoder(p, encoder, task)
        self._fixed = p.compute.device == "cpu"
        self.batch = p.encode.batch if self._fixed else max(_GPU_BATCH, p.encode.batch)
        self._most = self.batch
        self._stream = None if self._fixed else torch.cuda.Stream()  # of frames that become pixels beside the forward pass
        attributes = _attributes(
            canonical(encoder), p.encode.dtype, weights_sha256=sha256, layer=self._encoder.layer, pooling=self._encoder.pooling,
            preprocessing=self._encoder.preprocessing, device=p.compute.device, batch=self.batch if self._fixed else None,
            threads=p.compute.threads if self._fixed else None, precision=p.encode.precision, compiled=p.encode.compile,
            torch=torch.__version__.split("+")[0], **pretrained_on(encoder, task),
        )  # fmt: skip
        self.arrays = {ARRAY: Array(_layout(p, rows, (self._encoder.dim,), p.encode.dtype), attributes)}
        self._tokens = TokenArrays(p.encode, self._encoder, rows)
        for name, (layout, own) in self._tokens.arrays.items():
            self.arrays[name] = Array(layout, {**attributes, **own, "dtype": layout.dtype})

    def prepare(self, frames: NDArray[np.uint8] | None) -> Any:
        """On a CPU padded to the fixed micro-batch, so that the same frame gives the same bytes wherever a shard ends."""
        import torch

        assert frames is not None
        if self._stream is not None:
            with torch.cuda.stream(self._stream):
                return self._encoder.pixels(torch.from_numpy(frames).pin_memory())
        short = self.batch - len(frames)
        return self._encoder.pixels(np.concatenate([frames, np.repeat(frames[-1:], short, axis=0)]) if short else frames)

    def embed(self, prepared: Any, rows: Rows, wanted: Set[str]) -> dict[str, Any]:
        """In one forward pass, or in as many as fit into a GPU's memory."""
        import torch

        if self._stream is not None:
            torch.cuda.current_stream().wait_stream(self._stream)
            prepared.record_stream(torch.cuda.current_stream())
        while True:
            try:
                parts = [self._values(part, wanted) for part in prepared.split(self._most)]
                return {name: torch.cat([part[name] for part in parts])[: len(rows)] for name in wanted}
            except torch.OutOfMemoryError:
                if self._most == 1:
                    raise UserError(
                        f"{self._encoder.name}: not even one frame fits into the memory of {prepared.device}"
                    ) from None
                self._most = max(1, min(self._most, len(prepared)) // 2)
                log(f"encode {self._encoder.name}: out of memory, {self._most} frames at a time from here on")
                torch.cuda.empty_cache()

    def _values(self, pixels: "Tensor", wanted: Set[str]) -> "dict[str, Tensor]":
        if not wanted - {ARRAY}:
            return {ARRAY: self._encoder.embed_pixels(pixels)}
        features = self._encoder.features(pixels)
        return {ARRAY: features.vector, **self._tokens.values(features, wanted)}


def _attributes(encoder: str, dtype: str, **known: Any) -> dict[str, Any]:
    return {"encoder": encoder, "weights_sha256": None, "layer": None, "pooling": None, "dtype": dtype, **known}


def _layout(p: Params, rows: int, shape: tuple[int, ...], dtype: str) -> Layout:
    return Layout(rows, shape, dtype, p.encode.chunk, p.encode.shard)


def open_source(p: Params, encoder: str, task: str, reader: TrajectoryReader) -> Source:
    """The source of one representation's stored rows.

    Raises:
        UserError: its weights are missing, altered or of another encoder.
    """
    info = info_of(encoder)
    if info is not None and info.stores == "observation":
        return _FromObservation(p, task, reader)
    if info is not None and info.stores == "frame":
        return _FromFrames(p, info, task, reader.rows)
    return _FromEncoder(p, encoder, task, reader.rows)
