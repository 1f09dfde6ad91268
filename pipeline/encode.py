"""Encode every frame of a task once with one representation.

    python -m pipeline.encode --encoder autoencoder --task cartpole_swingup

Writes `data/embeddings/TASK/ENCODER/LOOK.zarr`, row for row the trajectory file. `scratch` stores the frames themselves and
`state` the task's observation, in the same layout. A killed run goes on at the first shard that is not on disk.
"""

from collections.abc import Iterator
from pathlib import Path

from datasets.manifest import digest, verify
from pipeline.encoders.registry import code_of
from pipeline.log import log, track
from pipeline.params import Params, canonical, load_params
from pipeline.stage import run
from pipeline.work import code_digest, open_work

CODE = (
    "pipeline/encode.py",
    "pipeline/encoding.py",
    "datasets/embeddings.py",
)


def main(encoder: str, task: str, params: Path = Path("params.yaml")) -> None:
    p = load_params(params)
    frames, trajectories, weights = (Path("data") / kind / task for kind in ("frames", "trajectories", "weights"))
    base = p.custom[encoder].base if encoder in p.custom else encoder
    key = {
        "encoder": canonical(encoder), "encode": p.encode.model_dump(), "compute": p.compute.model_dump(exclude={"workers"}),
        "custom": p.custom[encoder].model_dump() if encoder in p.custom else None, "frames": digest(frames),
        "trajectories": digest(trajectories), "weights": digest(weights / encoder), "code": code_digest(*CODE, *code_of(base)),
    }  # fmt: skip
    with open_work("encode", Path("data/embeddings") / task / encoder, key) as work:
        if work is not None:
            _encode(p, encoder, task, work.result)


def _encode(p: Params, encoder: str, task: str, result: Path) -> None:
    import numpy as np

    from datasets.embeddings import EmbeddingWriter
    from datasets.frames import frames_digest, load_frames_index
    from datasets.trajectories import load_trajectories
    from pipeline.encoding import open_source

    folder = Path("data/frames") / task
    data = load_trajectories(Path("data/trajectories") / task)
    index = load_frames_index(folder)
    verify(folder)
    source = open_source(p, encoder, task, data)
    todo = []
    for frames in index.sets:
        rows = np.concatenate([np.arange(a, b, dtype=np.int64) for a, b in frames.rows])
        attributes = source.attributes | {
            "task": task, "variant": frames.look.variant, "axis": frames.look.axis, "severity": frames.look.severity,
            "split": frames.look.split, "rows": frames.rows,
            "frames_digest": frames_digest(folder, frames.look.variant),
        }  # fmt: skip
        writer = EmbeddingWriter(
            result / f"{frames.look.variant}.zarr",
            len(data.reward),
            source.shape,
            source.dtype,
            p.encode.chunk,
            p.encode.shard,
            attributes,
        )
        for shard in np.unique(rows // p.encode.shard).tolist():
            within = rows[rows // p.encode.shard == shard]
            if not writer.is_written(shard):
                todo.append((frames, writer, shard, within))
    log(f"encode {canonical(encoder)}: {sum(len(t[3]) for t in todo)} rows in {len(todo)} shards")

    def batches() -> Iterator[None]:
        for frames, writer, shard, rows in todo:
            values = writer.blank(shard)
            done = 0
            for batch in source.batches(frames, rows):
                values[rows[done : done + len(batch)] - shard * p.encode.shard] = batch
                done += len(batch)
                yield from (None for _ in range(len(batch)))
            writer.write(shard, values)

    for _ in track(batches(), sum(len(t[3]) for t in todo), "frame", f"encode {encoder}"):
        pass


if __name__ == "__main__":
    run(main)
