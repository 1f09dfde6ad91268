"""Shards of frames through encoders into the store: decoding, preprocessing, forward passes and writing overlap."""

from collections.abc import Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from datasets.embedding_shards import EmbeddingWriter
from datasets.embedding_store import Entry
from datasets.errors import UserError
from datasets.frames import FrameSet, frames_digest, load_frames_index, read_frame_rows
from datasets.manifest import verify
from datasets.trajectories import TrajectoryReader
from pipeline.ahead import ahead
from pipeline.encoders.registry import code_of
from pipeline.encoding import Array, Rows, open_source
from pipeline.parallel import worker_count
from pipeline.params import Params, canonical
from pipeline.work import code_digest

CODE = ("pipeline/encode_shards.py", "pipeline/encoding.py", "pipeline/tokens.py", "datasets/embedding_shards.py")
_AHEAD = 4  # batches decoded and preprocessed ahead of the forward pass
_BEHIND = 4  # batches whose values have not been taken from the device yet


class Piece(NamedTuple):
    """One shard file to write: `number` of an encoder's array."""

    encoder: str
    array: str
    number: int


@dataclass(frozen=True)
class Shard:
    """Rows of one look that are embedded together, as many as a file of `embedding` holds, and the files that lack them."""

    variant: str
    index: int
    pieces: tuple[Piece, ...]

    @property
    def encoders(self) -> list[str]:
        """Whose arrays lack them."""
        return list(dict.fromkeys(piece.encoder for piece in self.pieces))


class Encoding:
    """Everything needed to embed one task's frames by some encoders."""

    def __init__(self, p: Params, task: str, encoders: Sequence[str], store: Path) -> None:
        """
        Args:
            store: folder of stored embeddings.

        Raises:
            UserError: frames, trajectories or weights that are missing or damaged.
        """
        on_gpu = p.compute.device == "cuda"  # which is faster than one thread decodes
        self._threads = worker_count(p.compute.workers) if on_gpu else 0
        self._folder, self._shard, self._store = Path("data/frames") / task, p.encode.shard, store
        reader = TrajectoryReader(Path("data/trajectories") / task)
        self._episode_starts = reader.index.episode_starts
        self._frames = load_frames_index(self._folder)
        self._sources = {name: open_source(p, name, task, reader) for name in encoders}
        self._batch = min(source.batch for source in self._sources.values())
        self.entries = {
            (name, frames.look.variant, array): self._entry(p, task, name, frames, stored)
            for name in encoders
            for frames in self._frames.sets
            for array, stored in self._sources[name].arrays.items()
        }

    def _entry(self, p: Params, task: str, encoder: str, frames: FrameSet, stored: Array) -> Entry:
        look = frames.look
        attributes = stored.attributes | {
            "task": task, "variant": look.variant, "axis": look.axis, "severity": look.severity, "split": look.split,
            "rows": frames.rows, "frames_digest": frames_digest(self._folder, look.variant),
        }  # fmt: skip
        base = p.custom[encoder].base if encoder in p.custom else encoder
        return Entry(self._store, stored.layout, attributes, {"code": code_digest(*CODE, *code_of(base))})

    def verify_frames(self) -> None:
        """That the frames are whole.

        Raises:
            DataError: names the first tar that is not.
        """
        verify(self._folder)

    def plan(self) -> tuple[list[Shard], list[Path]]:
        """The shards still to embed, and the files of the store that turned out damaged and are among them."""
        todo: list[Shard] = []
        damaged: list[Path] = []
        for frames in self._frames.sets:
            lacking: dict[int, list[Piece]] = {}
            for (encoder, variant, array), entry in self.entries.items():
                if variant != frames.look.variant:
                    continue
                missing, bad = entry.check(_indices(frames, entry.layout.shard))
                damaged += bad
                for index in missing:
                    lacking.setdefault(index * entry.layout.shard // self._shard, []).append(Piece(encoder, array, index))
            todo += [Shard(frames.look.variant, index, tuple(lacking[index])) for index in sorted(lacking)]
        return todo, damaged

    def lacks(self, shard: Shard) -> list[Piece]:
        """Those of a shard's files that are not in the store."""
        return [at for at in shard.pieces if self._entry_of(shard, at).check([at.number])[0]]

    def count(self, shard: Shard) -> int:
        """Rows of a shard that are embedded."""
        return len(self._rows_of(shard))

    def bytes_of(self, shards: Sequence[Shard]) -> int:
        """What writing them takes, uncompressed."""
        layouts = [self._entry_of(shard, at).layout for shard in shards for at in shard.pieces]
        return sum(at.row_bytes * min(at.shard, at.rows) for at in layouts)

    def begin(self, shards: Sequence[Shard]) -> None:
        """Make the folders that `shards` go into; one process does, before any writes."""
        for key in {(at.encoder, shard.variant, at.array) for shard in shards for at in shard.pieces}:
            self.entries[key].begin()

    def run(self, shards: Sequence[Shard]) -> Iterator[int]:
        """Embed and write `shards`; yields the number of rows done, batch after batch."""
        writers: dict[tuple[str, str, str], EmbeddingWriter] = {}
        behind: list[Future[None]] = []
        with ThreadPoolExecutor(1) as after:
            for part in ahead(self._parts(shards), _AHEAD):
                for encoder, prepared in part.prepared.items():
                    wanted = {at.array for at in part.shard.pieces if at.encoder == encoder}
                    values = self._sources[encoder].embed(prepared, part.rows, wanted)
                    for array in sorted(wanted):
                        key = encoder, part.shard.variant, array
                        if key not in writers:
                            writers[key] = self.entries[key].writer()
                        behind.append(after.submit(self._keep, writers[key], key, part, values[array]))
                while len(behind) > _BEHIND:
                    behind.pop(0).result()
                yield len(part.rows)
            for future in behind:
                future.result()

    def _entry_of(self, shard: Shard, piece: Piece) -> Entry:
        return self.entries[piece.encoder, shard.variant, piece.array]

    def _rows_of(self, shard: Shard, piece: Piece | None = None) -> Rows:
        """Ascending: those of one of a shard's files, or of all."""
        frames = self._frames.of(shard.variant)
        pieces = shard.pieces if piece is None else [piece]
        sizes = [(at.number, self._entry_of(shard, at).layout.shard) for at in pieces]
        return np.unique(np.concatenate([_rows_between(frames, i * size, (i + 1) * size) for i, size in set(sizes)]))

    def _parts(self, shards: Sequence[Shard]) -> "Iterator[_Part]":
        """Batches of the shards in order, preprocessed for every encoder that lacks them; each frame is decoded once."""
        for shard in shards:
            rows = self._rows_of(shard)
            sources = {name: self._sources[name] for name in shard.encoders}
            frames = self._batches(shard, rows) if any(s.reads_frames for s in sources.values()) else None
            held = _Held({at: len(self._rows_of(shard, at)) for at in shard.pieces})
            size = self._batch if frames is not None else len(rows)
            for first in range(0, len(rows), size):
                seen = next(frames) if frames is not None else None
                prepared = {name: source.prepare(seen if source.reads_frames else None) for name, source in sources.items()}
                yield _Part(shard, rows[first : first + size], prepared, held)
            if frames is not None:
                next(frames, None)  # its own check of the number of frames

    def _batches(self, shard: Shard, rows: Rows) -> Iterator[NDArray[np.uint8]]:
        held = []
        for frame in read_frame_rows(self._folder, self._frames.of(shard.variant), self._episode_starts, rows, self._threads):
            held.append(frame)
            if len(held) == self._batch:
                yield np.stack(held)
                held = []
        if held:
            yield np.stack(held)

    def _keep(self, writer: EmbeddingWriter, key: tuple[str, str, str], part: "_Part", values: Any) -> None:
        """Put a batch's values of one array in their places; write a file with the last of its rows."""
        encoder, variant, array = key
        at, held = writer.layout, part.held
        with np.errstate(over="ignore"):  # told below, with the row
            taken = (values if isinstance(values, np.ndarray) else values.cpu().numpy()).astype(at.dtype, copy=False)
        if taken.dtype.kind == "f" and not np.isfinite(taken).all():
            row = part.rows[~np.isfinite(taken).reshape(len(taken), -1).all(axis=1)][0]
            raise UserError(
                f"{canonical(encoder)}: the {array} of row {row} under look {variant} is not finite in {at.dtype}; "
                "check its weights, or set encode.dtype (encode.tokens.dtype) to float32"
            )
        numbers = part.rows // at.shard
        for index in np.unique(numbers).tolist():
            piece, here = Piece(encoder, array, index), numbers == index
            if piece not in held.left:
                continue
            if piece not in held.values:
                held.values[piece] = writer.blank(index)
            held.values[piece][part.rows[here] - index * at.shard] = taken[here]
            held.left[piece] -= int(here.sum())
            if not held.left[piece]:
                self.entries[key].write(writer, index, held.values.pop(piece))


@dataclass
class _Held:
    """Files of a shard that are being filled: rows that are still to come, and the values so far."""

    left: dict[Piece, int]
    values: dict[Piece, NDArray[Any]] = field(default_factory=dict)


@dataclass
class _Part:
    shard: Shard
    rows: Rows
    prepared: dict[str, Any]
    held: _Held


def _rows_between(frames: FrameSet, start: int, stop: int) -> Rows:
    """int64, the rows from `start` to before `stop` that have frames, ascending."""
    cut = [(max(first, start), min(last, stop)) for first, last in frames.rows]
    return np.concatenate([np.zeros(0, np.int64), *(np.arange(a, b, dtype=np.int64) for a, b in cut if a < b)])


def _indices(frames: FrameSet, size: int) -> list[int]:
    """Numbers of the files of `size` rows that hold any of the frames' rows."""
    return sorted({index for first, last in frames.rows for index in range(first // size, (last - 1) // size + 1)})
