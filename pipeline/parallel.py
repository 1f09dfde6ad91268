"""Work spread over processes, on the `concurrent.futures` interface: any executor of that interface (dask's too) will do."""

import functools
import logging
import os
import pickle
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import CancelledError, Executor, Future, ProcessPoolExecutor, as_completed
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager, suppress
from multiprocessing import get_context
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from datasets.errors import UserError
from pipeline.log import log
from trainers.orphan import die_with

if TYPE_CHECKING:
    from pipeline.sections.data import Compute

S = TypeVar("S")
R = TypeVar("R")
# Mesa's software renderer starts threads of its own in every process; 0 keeps all work in the calling thread.
_ONE_THREAD = {"OMP_NUM_THREADS": "1", "MKL_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1", "LP_NUM_THREADS": "0"}


def map_shards(fn: Callable[[S], R], shards: Iterable[S], executor: Executor) -> Iterator[tuple[S, R]]:
    """Run `fn` on every shard; yields (shard, result) as each completes, in no fixed order.

    An exception in one shard cancels those not yet begun and is raised here.

    Raises:
        UserError: a worker process was killed (most often for memory), or the cluster is gone.
    """
    futures = {executor.submit(fn, shard): shard for shard in shards}
    try:
        for future in as_completed(futures):
            yield futures[future], future.result()
    except BrokenProcessPool:
        raise UserError(
            "a worker process was killed (out of memory?); run the same command again, with fewer compute.workers if it recurs"
        ) from None
    except CancelledError:
        raise UserError("the cluster's scheduler or all its workers are gone; run the same command again, it goes on") from None
    except Exception as error:
        if type(error).__name__ != "KilledWorker":  # dask's: one shard took several workers down with it
            raise
        raise UserError(f"workers of the cluster died one after another on the same shard ({error}); out of memory?") from None
    finally:
        for future in futures:
            future.cancel()


def process_pool(workers: int) -> ProcessPoolExecutor:
    """A pool of fresh (spawned) processes of one thread each.

    They die with this one: a survivor would write beside the next run.

    Args:
        workers: 0 for one per core this process may use.
    """
    for variable, value in _ONE_THREAD.items():
        os.environ.setdefault(variable, value)
    return ProcessPoolExecutor(worker_count(workers), get_context("spawn"), die_with, (os.getpid(),))


def worker_count(workers: int) -> int:
    """`workers`, or the number of cores this process may use where it is 0."""
    if workers:
        return workers
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


@contextmanager
def open_executor(compute: "Compute") -> Iterator[Executor]:
    """What `compute` says work is spread over: processes of this machine, or a dask cluster.

    `compute.scheduler` is a dask scheduler's address (whose workers see this folder and the store under the same paths), or
    `local` for a cluster of processes on this machine. A worker that dies costs the shard it was at: dask gives it to another.

    Raises:
        UserError: no scheduler answers there.
    """
    if compute.scheduler is None:
        with process_pool(compute.workers) as pool:
            yield pool
        return
    import distributed

    for name in (*logging.root.manager.loggerDict, "tornado.application", "asyncio"):
        if name.startswith(("distributed", "tornado", "asyncio")):  # each has a level of its own
            logging.getLogger(name).setLevel(logging.CRITICAL)  # what goes wrong is said here, in one line
    cluster = None
    if compute.scheduler == "local":
        cluster = distributed.LocalCluster(worker_count(compute.workers), threads_per_worker=1, dashboard_address=None)
    try:
        client = distributed.Client(cluster or compute.scheduler, timeout="10s", set_as_default=False)
    except (OSError, ValueError) as error:
        raise UserError(
            f"compute.scheduler: no dask scheduler answers at {compute.scheduler} ({type(error).__name__}): start one, or null"
        ) from None
    try:
        client.register_worker_callbacks(functools.partial(exec, _worker_setup()))
        scheduler = client.scheduler_info(n_workers=-1)
        log(f"dask: {len(scheduler['workers'])} workers at {scheduler['address']}")
        yield _Shipped(client.get_executor(pure=False))
    finally:
        with suppress(Exception):
            client.close()
        if cluster is not None:
            cluster.close()


class _Shipped(Executor):
    """Hands work to a cluster as bytes: a scheduler reads what it passes on, and need not have this project."""

    def __init__(self, inner: Executor) -> None:
        self._inner = inner

    def submit(self, fn: Callable[..., R], /, *args: Any, **kwargs: Any) -> "Future[R]":
        def call(payload):  # type: ignore[no-untyped-def]  # nested and bare: it travels as its code, naming nothing of ours
            import pickle

            held, positional, named = pickle.loads(payload)
            return held(*positional, **named)

        return self._inner.submit(call, pickle.dumps((fn, args, kwargs)))


def _worker_setup() -> str:
    """Source that a cluster's worker runs first, whatever it was started in: this project's folder and one thread a process."""
    environment = _ONE_THREAD | {key: os.environ[key] for key in ("ENCORE_STORE",) if key in os.environ}
    code = str(Path(__file__).resolve().parent.parent)
    return f"import os, sys; os.chdir({os.getcwd()!r}); sys.path.insert(0, {code!r}); os.environ.update({environment!r})"
