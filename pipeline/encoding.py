"""Where a stored row's values come from: a frozen encoder, the frames themselves, or the task's observation."""

from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np
from numpy.typing import NDArray

from datasets.episodes import Trajectories
from datasets.errors import UserError
from datasets.frames import load_frames_index
from datasets.manifest import digest
from pipeline.log import log
from pipeline.params import Params, canonical
from pipeline.weights import pretrained_on, resolve_weights

if TYPE_CHECKING:
    from pipeline.encoders.base import Encoder

_NO_STATE = "none: the data has no state; a blind control"
_GPU_BATCH = 1024  # frames read together where a GPU embeds them; halved until they fit
Rows = NDArray[np.int64]


class Source(Protocol):
    """Values for rows, batch by batch, and what identifies them.

    Attributes:
        shape: of one row's value. dtype: as stored. attributes: for the Zarr group.
        reads_frames: whether it needs the frames of the rows.
        batch: frames of a batch.
    """

    shape: tuple[int, ...]
    dtype: str
    attributes: dict[str, Any]
    reads_frames: bool
    batch: int

    def prepare(self, frames: NDArray[np.uint8] | None) -> Any:
        """What `embed` takes: uint8 frames [n, H, W, 3] preprocessed. Runs ahead of it, in another thread."""
        ...

    def embed(self, prepared: Any, rows: Rows) -> Any:
        """Values [n, *shape] of `rows`, an array or a tensor on any device."""
        ...


class _FromObservation:
    dtype, reads_frames = "float32", False

    def __init__(self, p: Params, task: str, data: Trajectories) -> None:
        self._values, self.batch = data.observation, p.encode.shard
        self.attributes = {"preprocessing": "the task's observation, flattened", "trajectories": digest(_trajectories(task))}
        if not data.observation.shape[1]:  # imported images: what is learned from actions and rewards alone
            self._values = np.zeros((len(data.observation), 1), np.float32)
            self.attributes["preprocessing"] = _NO_STATE
            log(f"encode state: {data.task} has no state; a constant 0 stands for it, so that `state` is a blind control")
        self.shape: tuple[int, ...] = self._values.shape[1:]

    def prepare(self, frames: NDArray[np.uint8] | None) -> Any:
        return None

    def embed(self, prepared: Any, rows: Rows) -> Any:
        return self._values[rows]


class _FromFrames:
    dtype, reads_frames = "uint8", True

    def __init__(self, p: Params, task: str) -> None:
        size = load_frames_index(Path("data/frames") / task).size
        self.shape: tuple[int, ...] = (size, size, 3)
        self.attributes = {"preprocessing": "none: the frame itself"}
        self.batch = p.encode.batch

    def prepare(self, frames: NDArray[np.uint8] | None) -> Any:
        return frames

    def embed(self, prepared: Any, rows: Rows) -> Any:
        return prepared


class _FromEncoder:
    reads_frames = True

    def __init__(self, p: Params, encoder: str, task: str) -> None:
        import torch

        torch.set_num_threads(p.compute.threads)
        self._encoder, sha256 = open_encoder(p, encoder, task)
        self._fixed = p.compute.device == "cpu"
        self.batch = p.encode.batch if self._fixed else max(_GPU_BATCH, p.encode.batch)
        self._most = self.batch
        self.shape: tuple[int, ...] = (self._encoder.dim,)
        self.dtype: str = p.encode.dtype
        self.attributes = {
            "weights_sha256": sha256, "layer": self._encoder.layer, "pooling": self._encoder.pooling,
            "preprocessing": self._encoder.preprocessing, "device": p.compute.device,
            "batch": self.batch if self._fixed else None, "threads": p.compute.threads if self._fixed else None,
            "precision": p.encode.precision, "compiled": p.encode.compile, "torch": torch.__version__.split("+")[0],
            **pretrained_on(encoder, task),
        }  # fmt: skip

    def prepare(self, frames: NDArray[np.uint8] | None) -> Any:
        """On a CPU padded to the fixed micro-batch, so that the same frame gives the same bytes wherever a shard ends."""
        assert frames is not None
        short = self.batch - len(frames) if self._fixed else 0
        return self._encoder.pixels(np.concatenate([frames, np.repeat(frames[-1:], short, axis=0)]) if short else frames)

    def embed(self, prepared: Any, rows: Rows) -> Any:
        """In one forward pass, or in as many as fit into a GPU's memory."""
        import torch

        while True:
            try:
                parts = [self._encoder.embed_pixels(part) for part in prepared.split(self._most)]
                return torch.cat(parts)[: len(rows)]
            except torch.OutOfMemoryError:
                if self._most == 1:
                    raise UserError(
                        f"{self._encoder.name}: not even one frame fits into the memory of {prepared.device}"
                    ) from None
                self._most = max(1, min(self._most, len(prepared)) // 2)
                log(f"encode {self._encoder.name}: out of memory, {self._most} frames at a time from here on")
                torch.cuda.empty_cache()


def _trajectories(task: str) -> Path:
    return Path("data/trajectories") / task


def open_encoder(p: Params, encoder: str, task: str) -> "tuple[Encoder, str | None]":
    """A frozen encoder, registered or `custom`, with the weights that `pretrain` made or resolved, and their sha256.

    Raises:
        UserError: its weights are missing, altered or of another encoder.
    """
    from pipeline.encoders import load_encoder
    from pipeline.encoders.custom import load_custom

    file, sha256 = resolve_weights(encoder, task)
    if custom := p.custom.get(encoder):
        opened = load_custom(encoder, custom.base, custom.layer, custom.pooling, file, p.compute.device)
    else:
        opened = load_encoder(encoder, file, p.compute.device)
    opened.run_as(p.encode.precision, p.encode.compile)
    return opened, sha256


def open_source(p: Params, encoder: str, task: str, data: Trajectories) -> Source:
    """The source of one representation's stored rows.

    Raises:
        UserError: its weights are missing, altered or of another encoder.
    """
    name = canonical(encoder)
    source: Source
    if name == "state":
        source = _FromObservation(p, task, data)
    elif name == "scratch":
        source = _FromFrames(p, task)
    else:
        source = _FromEncoder(p, encoder, task)
    source.attributes = {
        "encoder": name, "weights_sha256": None, "layer": None, "pooling": None, "dtype": source.dtype, **source.attributes,
    }  # fmt: skip
    return source
