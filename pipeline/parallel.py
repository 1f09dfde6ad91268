"""Work spread over processes, on the `concurrent.futures` interface: any executor of that interface (dask's too) will do."""

import ctypes
import os
import signal
import sys
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Executor, ProcessPoolExecutor, as_completed
from concurrent.futures.process import BrokenProcessPool
from multiprocessing import get_context
from typing import TypeVar

from datasets.errors import UserError

S = TypeVar("S")
R = TypeVar("R")
_PR_SET_PDEATHSIG = 1
# Mesa's software renderer starts threads of its own in every process; 0 keeps all work in the calling thread.
_ONE_THREAD = {"OMP_NUM_THREADS": "1", "MKL_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1", "LP_NUM_THREADS": "0"}


def map_shards(fn: Callable[[S], R], shards: Iterable[S], executor: Executor) -> Iterator[tuple[S, R]]:
    """Run `fn` on every shard; yields (shard, result) as each completes, in no fixed order.

    An exception in one shard cancels those not yet begun and is raised here.

    Raises:
        UserError: a worker process was killed (most often for memory).
    """
    futures = {executor.submit(fn, shard): shard for shard in shards}
    try:
        for future in as_completed(futures):
            yield futures[future], future.result()
    except BrokenProcessPool:
        raise UserError(
            "a worker process was killed (out of memory?); run the same command again, with fewer compute.workers if it recurs"
        ) from None
    finally:
        for future in futures:
            future.cancel()


def process_pool(workers: int) -> ProcessPoolExecutor:
    """A pool of fresh (spawned) processes of one thread each, which die with this one.

    Args:
        workers: 0 for one per core this process may use.
    """
    for variable, value in _ONE_THREAD.items():
        os.environ.setdefault(variable, value)
    return ProcessPoolExecutor(worker_count(workers), get_context("spawn"), _die_with_parent, (os.getpid(),))


def worker_count(workers: int) -> int:
    """`workers`, or the number of cores this process may use where it is 0."""
    if workers:
        return workers
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def _die_with_parent(parent: int) -> None:
    """Have the kernel kill this worker when its parent is killed: a survivor would write beside the next run."""
    if sys.platform != "linux":
        return
    ctypes.CDLL(None, use_errno=True).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
    if os.getppid() != parent:  # it died before the request
        os.kill(os.getpid(), signal.SIGKILL)
