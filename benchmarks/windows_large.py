"""Windows of ten million frames: mapped shards against bare copies of such windows. Needs 16 GB of disk, 20 of memory.

    python -m benchmarks.windows_large
    python -m benchmarks.windows_large --frames 1000000

Not part of `make bench`: writing the store takes minutes.
"""

import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from benchmarks.bench_windows import BATCH, DIM, EPISODE, LENGTH
from benchmarks.run import hardware
from benchmarks.timing import paired_ratio
from pipeline.stage import run

if TYPE_CHECKING:
    from datasets.mapped import MappedRows

SHARD = 4096


def main(frames: int = 10_000_000) -> None:
    from datasets.embedding_shards import ARRAY, EmbeddingWriter, Layout
    from datasets.mapped import MappedRows
    from datasets.windows import WindowSampler

    with tempfile.TemporaryDirectory() as folder:
        group = Path(folder) / "default.zarr"
        writer = EmbeddingWriter(group, Layout(frames, (DIM,), "float16", 256, SHARD), {})
        block = np.random.default_rng(0).normal(size=(SHARD, DIM)).astype(np.float16)
        for index in range(-(-frames // SHARD)):
            writer.write(index, block[: frames - index * SHARD])
        mapped = MappedRows(group / ARRAY)
        for chunk in mapped._chunks:
            chunk[::2].sum()  # warm
        starts = np.arange(0, frames - LENGTH, dtype=np.int64)
        sampler = WindowSampler(starts[starts % EPISODE <= EPISODE - LENGTH], BATCH, 0)
        out = np.empty((BATCH, LENGTH, DIM), np.float16)
        drawn = [sampler.next() for _ in range(2000)]
        ours, theirs = iter(drawn[:1000]), iter([_pieces(mapped, starts) for starts in drawn[1000:]])

        def copies() -> None:
            """The same kind of windows, found beforehand; other ones, so that neither side warms the caches for the other."""
            for window, pieces in zip(out, next(theirs), strict=True):
                taken = 0
                for piece in pieces:
                    window[taken : taken + len(piece)] = piece
                    taken += len(piece)

        ratio, mine, bare = paired_ratio(lambda: mapped.windows(next(ours), LENGTH, out), copies, 41, 20)
        print(
            f"{frames} frames: {ratio:.2f} ({mine * 1e6:.0f} us a batch of {BATCH} x {LENGTH} x {DIM}, bare copies of such "
            f"windows, found beforehand, {bare * 1e6:.0f} us; CPU time, {hardware()})"
        )


def _pieces(mapped: "MappedRows", starts: NDArray[np.int64]) -> list[list[NDArray[Any]]]:
    """For each window the parts of chunks that hold it."""
    found = []
    for start in starts.tolist():
        number, within = divmod(start, 256)
        first = mapped._chunks[number][within : within + LENGTH]
        found.append([first, mapped._chunks[number + 1][: LENGTH - len(first)]] if len(first) < LENGTH else [first])
    return found


if __name__ == "__main__":
    run(main)
