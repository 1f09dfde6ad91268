"""Shards run in processes of one thread each that die with their parent; a failure in one stops the rest."""

import os
import signal
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor

import psutil
import pytest

from datasets.errors import UserError
from pipeline.parallel import map_shards, process_pool, worker_count
from tests.synthetic import ROOT

PARENT = """
import time
from pipeline.parallel import process_pool
if __name__ == "__main__":
    pool = process_pool(2)
    futures = [pool.submit(time.sleep, 60) for _ in range(2)]
    print("ready", flush=True)
    time.sleep(60)
"""


def test_every_shard_is_yielded_once_with_its_result():
    with ThreadPoolExecutor(3) as pool:
        assert sorted(map_shards(lambda n: n * n, range(20), pool)) == [(n, n * n) for n in range(20)]


def test_an_exception_is_raised_and_cancels_what_has_not_begun():
    begun = []

    def fail(n: int) -> None:
        begun.append(n)
        time.sleep(0.01)
        raise UserError(f"shard {n}")

    with ThreadPoolExecutor(1) as pool, pytest.raises(UserError, match="shard 0"):
        list(map_shards(fail, range(100), pool))
    assert len(begun) < 100


def test_a_killed_worker_is_one_line():
    with process_pool(1) as pool, pytest.raises(UserError, match="a worker process was killed"):
        list(map_shards(_kill_this_process, [0, 1], pool))


def _kill_this_process(shard: int) -> None:
    os.kill(os.getpid(), signal.SIGKILL)


def test_workers_have_one_thread_each():
    with process_pool(1) as pool:
        assert pool.submit(os.getenv, "OMP_NUM_THREADS").result() == "1"


def test_zero_workers_means_one_per_core():
    assert worker_count(0) == len(os.sched_getaffinity(0))
    assert worker_count(3) == 3


@pytest.mark.skipif(sys.platform != "linux", reason="the kernel's parent-death signal is Linux's")
def test_workers_die_with_a_killed_parent(tmp_path):
    script = tmp_path / "parent.py"
    script.write_text(PARENT)
    parent = subprocess.Popen(
        [sys.executable, str(script)], env=os.environ | {"PYTHONPATH": str(ROOT)}, stdout=subprocess.PIPE, text=True
    )
    assert parent.stdout is not None
    parent.stdout.readline()
    deadline = time.monotonic() + 60
    while len(workers := psutil.Process(parent.pid).children()) < 3 and time.monotonic() < deadline:  # two, and a tracker
        time.sleep(0.05)
    time.sleep(1.0)
    parent.kill()
    parent.wait()
    parent.stdout.close()
    gone, alive = psutil.wait_procs(workers, timeout=20)
    assert len(gone) >= 3
    assert not alive
