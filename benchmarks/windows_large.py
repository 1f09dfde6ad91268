"""Windows of ten million frames: mapped shards against bare copies at the same offsets. Needs 16 GB of disk, 20 of memory.

    python -m benchmarks.windows_large
    python -m benchmarks.windows_large --frames 1000000

Not part of `make bench`: writing the store takes minutes.
"""

import tempfile
from pathlib import Path

import numpy as np

from benchmarks.bench_windows import BATCH, DIM, EPISODE, LENGTH
from benchmarks.run import hardware
from benchmarks.timing import paired_ratio
from pipeline.stage import run

SHARD = 4096


def main(frames: int = 10_000_000) -> None:
    from datasets.embeddings import ARRAY, EmbeddingWriter, Layout
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
        ours, theirs = iter(drawn * 100), iter(drawn * 100)

        def copies() -> None:
            """Whole windows within one chunk, from where they lie: nothing to find, nothing to join."""
            for window, start in zip(out, next(theirs).tolist(), strict=True):
                chunk = mapped._chunks[start // 256]
                window[:] = chunk[: len(window)]

        ratio, mine, bare = paired_ratio(lambda: mapped.windows(next(ours), LENGTH, out), copies, 41, 20)
        print(
            f"{frames} frames: {ratio:.2f} ({mine * 1e6:.0f} us a batch of {BATCH} x {LENGTH} x {DIM}, bare copies of windows of "
            f"the same chunks {bare * 1e6:.0f} us; CPU time, {hardware()})"
        )


if __name__ == "__main__":
    run(main)
