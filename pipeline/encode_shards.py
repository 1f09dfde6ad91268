"""Shards of frames through encoders into the store: decoding, preprocessing, forward passes and writing overlap."""

import queue
import threading
from collections.abc import Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray

from datasets.embedding_store import Entry
from datasets.embeddings import EmbeddingWriter, Layout
from datasets.errors import UserError
from datasets.frames import FrameSet, frames_digest, load_frames_index, read_frame_rows
from datasets.manifest import verify
from datasets.trajectories import load_trajectories
from pipeline.encoders.registry import code_of
from pipeline.encoding import Rows, open_source
from pipeline.params import Params, canonical
from pipeline.work import code_digest

T = TypeVar("T")
CODE = ("pipeline/encode_shards.py", "pipeline/encoding.py", "datasets/embeddings.py")
_AHEAD = 4  # batches decoded and preprocessed ahead of the forward pass
_BEHIND = 4  # batches whose values have not been taken from the device yet


@dataclass(frozen=True)
class Shard:
    """Rows of one look that are stored in one file, and the encoders that they have not been embedded by."""

    variant: str
    index: int
    encoders: tuple[str, ...]


class Encoding:
    """Everything needed to embed one task's frames by some encoders."""

    def __init__(self, p: Params, task: str, encoders: Sequence[str], store: Path) -> None:
        """
        Args:
            store: folder of stored embeddings.

        Raises:
            UserError: frames, trajectories or weights that are missing or damaged.
        """
        self._folder, self._shard, self._store = Path("data/frames") / task, p.encode.shard, store
        self._data = load_trajectories(Path("data/trajectories") / task)
        self._frames = load_frames_index(self._folder)
        self._sources = {name: open_source(p, name, task, self._data) for name in encoders}
        self._batch = min(source.batch for source in self._sources.values())
        self._entries = {
            (name, frames.look.variant): self._entry(p, task, name, frames) for name in encoders for frames in self._frames.sets
        }

    def _entry(self, p: Params, task: str, encoder: str, frames: FrameSet) -> Entry:
        source, look = self._sources[encoder], frames.look
        attributes = source.attributes | {
            "task": task, "variant": look.variant, "axis": look.axis, "severity": look.severity, "split": look.split,
            "rows": frames.rows, "frames_digest": frames_digest(self._folder, look.variant),
        }  # fmt: skip
        base = p.custom[encoder].base if encoder in p.custom else encoder
        layout = Layout(len(self._data.reward), source.shape, source.dtype, p.encode.chunk, p.encode.shard)
        return Entry(self._store, layout, attributes, {"code": code_digest(*CODE, *code_of(base))})

    @property
    def entries(self) -> dict[tuple[str, str], Entry]:
        """The store's entry of every (encoder, look)."""
        return self._entries

    def verify_frames(self) -> None:
        """That the frames are whole.

        Raises:
            DataError: names the first tar that is not.
        """
        verify(self._folder)

    def plan(self) -> tuple[list[Shard], list[Path]]:
        """The shards still to embed, and those of the store that turned out damaged and are among them."""
        todo: list[Shard] = []
        damaged: list[Path] = []
        for frames in self._frames.sets:
            wanted = np.unique(_rows(frames) // self._shard).tolist()
            lacking: dict[int, list[str]] = {}
            for encoder in self._sources:
                missing, bad = self._entries[encoder, frames.look.variant].check(wanted)
                damaged += bad
                for index in missing:
                    lacking.setdefault(index, []).append(encoder)
            todo += [Shard(frames.look.variant, index, tuple(lacking[index])) for index in sorted(lacking)]
        return todo, damaged

    def count(self, shard: Shard) -> int:
        """Rows of a shard."""
        return len(self._rows_of(shard))

    def bytes_of(self, shards: Sequence[Shard]) -> int:
        """What writing them takes, uncompressed."""
        layouts = [self._entries[name, s.variant].layout for s in shards for name in s.encoders]
        return sum(int(np.prod(at.shape)) * np.dtype(at.dtype).itemsize * min(at.shard, at.rows) for at in layouts)

    def begin(self, shards: Sequence[Shard]) -> None:
        """Make the folders that `shards` go into; one process does, before any writes."""
        for key in {(name, shard.variant) for shard in shards for name in shard.encoders}:
            self._entries[key].begin()

    def run(self, shards: Sequence[Shard]) -> Iterator[int]:
        """Embed and write `shards`; yields the number of rows done, batch after batch."""
        writers: dict[tuple[str, str], EmbeddingWriter] = {}
        behind: list[Future[None]] = []
        with ThreadPoolExecutor(1) as after:
            for part in ahead(self._parts(shards)):
                for name, prepared in part.prepared.items():
                    key = name, part.shard.variant
                    if key not in writers:
                        writers[key] = self._entries[key].writer()
                    values = self._sources[name].embed(prepared, part.rows)
                    behind.append(after.submit(self._keep, writers[key], name, part, values))
                while len(behind) > _BEHIND:
                    behind.pop(0).result()
                yield len(part.rows)
            for future in behind:
                future.result()

    def _rows_of(self, shard: Shard) -> Rows:
        rows = _rows(self._frames.of(shard.variant))
        return rows[rows // self._shard == shard.index]

    def _parts(self, shards: Sequence[Shard]) -> "Iterator[_Part]":
        """Batches of the shards in order, preprocessed for every encoder that lacks them; each frame is decoded once."""
        for shard in shards:
            rows = self._rows_of(shard)
            sources = {name: self._sources[name] for name in shard.encoders}
            frames = self._batches(shard, rows) if any(s.reads_frames for s in sources.values()) else None
            held: dict[str, NDArray[Any]] = {}
            size = self._batch if frames is not None else len(rows)
            for first in range(0, len(rows), size):
                seen = next(frames) if frames is not None else None
                prepared = {name: source.prepare(seen if source.reads_frames else None) for name, source in sources.items()}
                yield _Part(shard, rows[first : first + size], prepared, held, first + size >= len(rows))
            if frames is not None:
                next(frames, None)  # its own check of the number of frames

    def _batches(self, shard: Shard, rows: Rows) -> Iterator[NDArray[np.uint8]]:
        held = []
        for frame in read_frame_rows(self._folder, self._frames.of(shard.variant), self._data.episode_starts, rows):
            held.append(frame)
            if len(held) == self._batch:
                yield np.stack(held)
                held = []
        if held:
            yield np.stack(held)

    def _keep(self, writer: EmbeddingWriter, name: str, part: "_Part", values: Any) -> None:
        """Put a batch's values in their places; write the shard with its last."""
        at = writer.layout
        held = part.held.setdefault(name, writer.blank(part.shard.index))
        with np.errstate(over="ignore"):  # told below, with the row
            taken = (values if isinstance(values, np.ndarray) else values.cpu().numpy()).astype(at.dtype, copy=False)
        if taken.dtype.kind == "f" and not np.isfinite(taken).all():
            row = part.rows[~np.isfinite(taken).all(axis=tuple(range(1, taken.ndim)))][0]
            raise UserError(
                f"{canonical(name)}: the embedding of row {row} under look {part.shard.variant} is not finite in {at.dtype}; "
                "check its weights, or set encode.dtype to float32"
            )
        held[part.rows - part.shard.index * at.shard] = taken
        if part.last:
            self._entries[name, part.shard.variant].write(writer, part.shard.index, part.held.pop(name))


@dataclass
class _Part:
    shard: Shard
    rows: Rows
    prepared: dict[str, Any]
    held: dict[str, NDArray[Any]]
    last: bool


def _rows(frames: FrameSet) -> Rows:
    return np.concatenate([np.arange(a, b, dtype=np.int64) for a, b in frames.rows])


def ahead(items: Iterator[T]) -> Iterator[T]:
    """Run an iterator in a thread, a few items ahead of its consumer; its exception is raised where it was due."""
    done: Any = object()
    slots: queue.Queue[Any] = queue.Queue(_AHEAD)
    left = threading.Event()

    def put(item: Any) -> bool:
        while not left.is_set():
            try:
                slots.put(item, timeout=0.2)
                return True
            except queue.Full:
                continue
        return False

    def work() -> None:
        try:
            for item in items:
                if not put(item):
                    return
            put(done)
        except BaseException as error:  # handed to the consumer
            put(error)

    threading.Thread(target=work, daemon=True).start()
    try:
        while (item := slots.get()) is not done:
            if isinstance(item, BaseException):
                raise item
            yield item
    finally:
        left.set()


_opened: dict[str, Encoding] = {}


@dataclass(frozen=True)
class ShardJob:
    """One shard to embed, as a process or a cluster's worker is told."""

    params: Params
    task: str
    encoders: tuple[str, ...]
    store: Path
    shard: Shard
    key: str


def encode_shard(job: ShardJob) -> int:
    """Embed and write one shard; returns its rows. What it needs is opened once in a process."""
    if job.key not in _opened:
        _opened.clear()
        _opened[job.key] = Encoding(job.params, job.task, job.encoders, job.store)
    return sum(_opened[job.key].run([job.shard]))
