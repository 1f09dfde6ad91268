"""What DVC costs on a large store: hashing and checkout against reading the same files by sha256. Needs twice the disk it writes.

    python -m benchmarks.dvc_store
    python -m benchmarks.dvc_store --gigabytes 2

Not part of `make bench`.
"""

import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np

from benchmarks.run import hardware
from datasets.manifest import sha256_file
from pipeline.stage import run

DIM, SHARD = 768, 4096


def main(gigabytes: float = 10.0) -> None:
    from datasets.embedding_shards import EmbeddingWriter, Layout

    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder)
        rows = int(gigabytes * 1e9 / DIM / 2)
        writer = EmbeddingWriter(root / "data" / "default.zarr", Layout(rows, (DIM,), "float16", 256, SHARD), {})
        rng = np.random.default_rng(0)
        for index in range(-(-rows // SHARD)):
            writer.write(index, rng.integers(0, 2**14, (min(SHARD, rows - index * SHARD), DIM), np.uint16).view(np.float16))
        files = [path for path in (root / "data").rglob("*") if path.is_file()]
        for command in (["git", "init", "-q"], [*_DVC, "init", "-q"]):
            subprocess.run(command, cwd=root, check=True, capture_output=True)
        shutil.copy(Path(__file__).parent.parent / ".dvc" / "config", root / ".dvc" / "config")
        print(f"{gigabytes:g} GB in {len(files)} files ({len(files) / gigabytes:.0f} a GB), {hardware()}")

        def step(name: str, *command: str, after: Callable[[], None] = lambda: None) -> None:
            """Beside a reading of the same files right before: how much of them the system still holds in memory changes."""
            read = _timed(lambda: [sha256_file(path) for path in files])
            after()
            taken = _timed(lambda: subprocess.run([*_DVC, command[0], "-q", *command[1:]], cwd=root, check=True))
            print(f"  {name}: {taken:.1f} s, sha256 of all {read:.1f} s: {taken / read:.2f} x")

        step("dvc add --no-commit (hashing)", "add", "--no-commit", "data")
        step("dvc commit (a copy into the cache)", "commit", "-f")
        step("dvc checkout", "checkout", after=lambda: shutil.rmtree(root / "data"))


_DVC = [sys.executable, "-m", "dvc"]


def _timed(function) -> float:  # type: ignore[no-untyped-def]
    start = time.perf_counter()
    function()
    return time.perf_counter() - start


if __name__ == "__main__":
    run(main)
