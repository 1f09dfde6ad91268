"""`make bench` runs what it finds, keeps the rows of the rest when one fails or is skipped, and says so."""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

from benchmarks.timing import paired_ratio
from tests.synthetic import ROOT

GOOD = 'def measure():\n    yield {"id": "twice_vs_once", "ratio": 2.0, "detail": "made for this test"}\n'
BAD = "def measure():\n    yield from [1 / 0]\n"
SKIPPED = 'from benchmarks import Skip\ndef measure():\n    raise Skip("needs two GPUs")\n'


def bench(tmp_path: Path, *arguments: str, **modules: str) -> tuple[subprocess.CompletedProcess[str], list[dict]]:
    shutil.copytree(
        ROOT / "benchmarks", tmp_path / "benchmarks", ignore=shutil.ignore_patterns("bench_*", "results.json", "__pycache__")
    )
    for name, text in modules.items():
        (tmp_path / "benchmarks" / f"bench_{name}.py").write_text(text)
    command = [sys.executable, "-m", "benchmarks.run", *arguments]
    environment = os.environ | {"PYTHONPATH": str(ROOT)}  # the copy is found first, in the working directory
    done = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True, timeout=120)
    results = tmp_path / "benchmarks" / "results.json"
    return done, json.loads(results.read_text()) if results.exists() else []


def test_rows_carry_the_hardware_and_the_commit(tmp_path):
    done, rows = bench(tmp_path, good=GOOD)
    assert done.returncode == 0, done.stderr
    assert [set(row) for row in rows] == [{"id", "ratio", "detail", "hardware", "commit"}]
    assert "cores" in rows[0]["hardware"]


def test_a_failing_benchmark_does_not_take_the_others_with_it(tmp_path):
    done, rows = bench(tmp_path, bad=BAD, good=GOOD)
    assert done.returncode == 1
    assert "error: failed: bench_bad" in done.stderr
    assert "ZeroDivisionError" in done.stderr
    assert [row["id"] for row in rows] == ["twice_vs_once"]


def test_a_skipped_benchmark_says_why_and_is_no_failure(tmp_path):
    done, rows = bench(tmp_path, skipped=SKIPPED)
    assert (done.returncode, rows) == (0, [])
    assert "skipped: needs two GPUs" in done.stderr


def test_one_benchmark_can_be_chosen(tmp_path):
    done, rows = bench(tmp_path, "--only", "good", bad=BAD, good=GOOD)
    assert (done.returncode, len(rows)) == (0, 1)


def test_a_paired_ratio_sees_twice_the_work():
    def work(n: int) -> int:
        return sum(range(n))

    ratio, mine, other = paired_ratio(lambda: work(400_000), lambda: work(200_000), pairs=9)
    assert 1.5 < ratio < 2.7
    assert mine > other
