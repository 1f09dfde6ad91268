"""Encode every frame of a task once with one representation, or with several in one pass over the frames.

    python -m pipeline.encode --encoder autoencoder --task cartpole_swingup
    python -m pipeline.encode --encoders clip,vc1_vitb,r3m --task cartpole_swingup

The first form writes `data/embeddings/TASK/ENCODER/LOOK.zarr`, row for row the trajectory file; `scratch` stores the frames
themselves, `scratch_64` the same shrunk, and `state` the task's observation, in the same layout. The second only fills the store
of embeddings (docs/embeddings.md), where the first, or `dvc exp run`, then finds them. Weights have to be there: `python -m
pipeline.pretrain`.

What the store holds is not computed again. A killed run goes on at the first shard that is not on disk, and a shard that is
damaged there is named and made again, it alone.
"""

from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING

from datasets.errors import UserError
from datasets.manifest import digest, digest_of
from pipeline.log import log, track
from pipeline.params import Params, canonical, load_params
from pipeline.stage import run
from pipeline.work import code_digest, hold, open_work, require_space, store

if TYPE_CHECKING:
    from collections.abc import Iterator

    from datasets.embedding_store import Entry
    from pipeline.encode_shards import Encoding, Shard

HEAVY_S = 60  # of forward passes, by estimate: from here on every core works on a CPU
_GFLOPS = 60  # of one core, for that estimate


def main(encoder: str = "", task: str = "", encoders: str = "", params: Path = Path("params.yaml")) -> None:
    p = load_params(params)
    if not task or bool(encoder) == bool(encoders):
        raise UserError("give --task TASK, and either --encoder NAME or --encoders NAME,NAME,...")
    if encoders:
        names = list(dict.fromkeys(name.strip() for name in encoders.split(",")))
        _fill(p, task, names)
        return
    frames, trajectories, weights = (Path("data") / kind / task for kind in ("frames", "trajectories", "weights"))
    from pipeline.encode_shards import CODE
    from pipeline.encoders.registry import code_of

    base = p.custom[encoder].base if encoder in p.custom else encoder
    key = {
        "encoder": canonical(encoder), "encode": p.encode.model_dump(), "compute": p.compute.identity,
        "custom": p.custom[encoder].model_dump() if encoder in p.custom else None, "frames": digest(frames),
        "trajectories": digest(trajectories), "weights": digest(weights / encoder), "code": code_digest(*CODE, *code_of(base)),
    }  # fmt: skip
    out = Path("data/embeddings") / task / encoder
    with open_work("encode", out, key) as work:
        if work is not None:
            entries = _fill(p, task, [encoder])
            for (_, variant, _), entry in entries.items():
                entry.publish(work.result / f"{variant}.zarr", out)
            work.meta["entries"] = {f"{variant}.zarr/{array}": entry.id for (_, variant, array), entry in entries.items()}


def _fill(p: Params, task: str, encoders: list[str]) -> "dict[tuple[str, str, str], Entry]":
    """Have the store hold every look by every encoder; returns its entries by (encoder, look, array)."""
    from pipeline.encode_shards import Encoding

    root = store() / "embeddings"
    encoding = Encoding(p, task, encoders, root)
    with ExitStack() as locks:
        for entry in sorted(encoding.entries.values(), key=lambda entry: entry.id):
            locks.enter_context(hold(root / f"{entry.id}.lock", f"embeddings {entry.id}"))
        todo, damaged = encoding.plan()
        for file in damaged:
            log(f"{file} is not what was written (damaged, cut short, or another file): it alone is made again")
        total = sum(encoding.count(shard) for shard in todo)
        names = ", ".join(canonical(name) for name in encoders)
        log(f"encode {names}: {total} rows in {len(todo)} shards")
        if todo:
            encoding.verify_frames()
            require_space(root, encoding.bytes_of(todo))
            encoding.begin(todo)
            for _ in track(_one_by_one(_run(p, task, encoders, encoding, todo)), total, "frame", f"encode {names}"):
                pass
    return encoding.entries


def _one_by_one(counts: "Iterator[int]") -> "Iterator[None]":
    for count in counts:
        yield from (None for _ in range(count))


def _run(p: Params, task: str, encoders: list[str], encoding: "Encoding", todo: "list[Shard]") -> "Iterator[int]":
    """Rows done, as they are: here, or on other processes or a cluster where that pays."""
    from pipeline.encode_jobs import ShardJob, encode_shard
    from pipeline.encoders.registry import list_encoders
    from pipeline.parallel import map_shards, open_executor, worker_count

    gflop = {info.name: info.gflop or 0.0 for info in list_encoders()}
    seconds = sum(encoding.count(s) * sum(gflop.get(canonical(e), 0.0) for e in s.encoders) for s in todo) / _GFLOPS
    alone = len(todo) == 1 or seconds < HEAVY_S or worker_count(p.compute.workers) == 1 or p.compute.device != "cpu"
    if p.compute.scheduler is None and alone:
        yield from encoding.run(todo)
        return
    key = digest_of(sorted(entry.id for entry in encoding.entries.values()))
    jobs = [ShardJob(p, task, tuple(encoders), store() / "embeddings", shard, key) for shard in todo]
    with open_executor(p.compute) as executor:
        for _, count in map_shards(encode_shard, jobs, executor):
            yield count
    for shard in todo:
        for piece in encoding.lacks(shard):
            raise UserError(
                f"shard {piece.number} of {canonical(piece.encoder)}, look {shard.variant}, is not here: do the cluster's "
                "workers see this folder and $ENCORE_STORE under the same paths, and did they start after the code last changed?"
            )


if __name__ == "__main__":
    run(main)
