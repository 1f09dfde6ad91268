"""Run every benchmark and write `benchmarks/results.json`.

    make bench                                   # all of them
    python -m benchmarks.run --only bench_windows

A benchmark is a module `benchmarks/bench_*.py` whose `measure()` yields rows `{"id", "ratio", "detail"}`; both sides of a ratio
are measured in pairs in the same run. `measure()` raises `Skip` where it cannot run here. One that fails is reported, the
others still run, and the exit status is 1.
"""

import importlib
import subprocess
import sys
import traceback
from collections.abc import Iterable
from pathlib import Path

from benchmarks import Row, Skip
from datasets.manifest import write_json
from pipeline.log import log
from pipeline.machine import hardware
from pipeline.stage import run

HERE = Path(__file__).resolve().parent
RESULTS = HERE / "results.json"


def main(only: str = "", out: Path = RESULTS) -> None:
    names = sorted(path.stem for path in HERE.glob("bench_*.py") if only in path.stem)
    machine = {"hardware": hardware(), "commit": commit()}
    rows, failed = [], []
    for name in names:
        log(f"{name} ...")
        try:
            for row in measure(name):
                log(f"  {row['id']}: {row['ratio']:.3g}  ({row['detail']})")
                rows.append({**row, **machine})
        except Skip as reason:
            log(f"  skipped: {reason}")
        except Exception:
            traceback.print_exc()
            failed.append(name)
    write_json(out, rows)
    if failed:
        log(f"error: failed: {', '.join(failed)}")
        sys.exit(1)


def measure(name: str) -> Iterable[Row]:
    """The rows of one benchmark module, as it measures them."""
    yield from importlib.import_module(f"benchmarks.{name}").measure()


def commit() -> str:
    """The commit that was measured, marked where the tree differs from it; empty outside git."""
    done = subprocess.run(["git", "describe", "--always", "--dirty", "--abbrev=40"], cwd=HERE, capture_output=True, text=True)
    return done.stdout.strip()


if __name__ == "__main__":
    run(main)
