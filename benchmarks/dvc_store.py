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
        for command in (["git", "init", "-q"], [*_DVC, "init", "-q"], [*_DVC, "config", "cache.type", "reflink,hardlink,copy"]):
            subprocess.run(command, cwd=root, check=True, capture_output=True)
        read = _timed(lambda: [sha256_file(path) for path in files])
        taken = {
            "dvc add --no-commit (hashing)": _dvc(root, "add", "--no-commit", "data"),
            "dvc commit (a copy into the cache)": _dvc(root, "commit", "-f"),
        }
        shutil.rmtree(root / "data")
        taken["dvc checkout"] = _dvc(root, "checkout")
        print(f"{gigabytes:g} GB in {len(files)} files ({len(files) / gigabytes:.0f} a GB), {hardware()}")
        print(f"  sha256 of all: {read:.1f} s")
        for name, seconds in taken.items():
            print(f"  {name}: {seconds:.1f} s, {seconds / read:.2f} x")


_DVC = [sys.executable, "-m", "dvc"]


def _dvc(root: Path, *arguments: str) -> float:
    """Seconds that a DVC command takes."""
    return _timed(lambda: subprocess.run([*_DVC, arguments[0], "-q", *arguments[1:]], cwd=root, check=True))


def _timed(function) -> float:  # type: ignore[no-untyped-def]
    start = time.perf_counter()
    function()
    return time.perf_counter() - start


if __name__ == "__main__":
    run(main)
