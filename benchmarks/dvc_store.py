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
        add = _timed(lambda: subprocess.run([*_DVC, "add", "-q", "data"], cwd=root, check=True))
        shutil.rmtree(root / "data")
        checkout = _timed(lambda: subprocess.run([*_DVC, "checkout", "-q"], cwd=root, check=True))
        print(
            f"{gigabytes:g} GB in {len(files)} files ({len(files) / gigabytes:.0f} a GB): sha256 of all {read:.1f} s; dvc add "
            f"{add:.1f} s ({add / read:.2f} x), dvc checkout {checkout:.1f} s ({checkout / read:.2f} x); {hardware()}"
        )


_DVC = [sys.executable, "-m", "dvc"]


def _timed(function) -> float:  # type: ignore[no-untyped-def]
    start = time.perf_counter()
    function()
    return time.perf_counter() - start


if __name__ == "__main__":
    run(main)
