"""One shard to embed as a job for another process, or a cluster's worker."""

from dataclasses import dataclass
from pathlib import Path

from pipeline.encode_shards import Encoding, Shard
from pipeline.params import Params

_opened: dict[str, Encoding] = {}


@dataclass(frozen=True)
class ShardJob:
    """One shard to embed, as a process or a cluster's worker is told."""

    params: Params
    task: str
    encoders: tuple[str, ...]
    store: Path
    shard: Shard
    key: str


def encode_shard(job: ShardJob) -> int:
    """Embed and write one shard; returns its rows. What it needs is opened once in a process."""
    if job.key not in _opened:
        _opened.clear()
        _opened[job.key] = Encoding(job.params, job.task, job.encoders, job.store)
    return sum(_opened[job.key].run([job.shard]))
