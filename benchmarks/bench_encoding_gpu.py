"""Frames in, shards written and synced, against the bare forward pass, on a GPU: a ViT-B/16 in bfloat16, frames of 256 pixels.

The same code as `bench_encoding`, with as many decoding threads as there are cores; wall time, shard by shard in alternation.
"""

import os
import statistics
import tempfile
import time
from collections.abc import Iterator
from contextlib import chdir
from pathlib import Path

from benchmarks import Row, Skip

NAME, PIXELS, ROWS, SHARDS = "dino_vitb16", 256, 2048, 4


def measure() -> Iterator[Row]:
    import torch

    if not torch.cuda.is_available():
        raise Skip("there is no GPU")
    with tempfile.TemporaryDirectory() as folder, chdir(folder):
        yield _ratio(Path(folder))


def _ratio(root: Path) -> Row:
    import torch

    from pipeline.encode_shards import Encoding
    from pipeline.params import load_params
    from tests.synthetic import TASK

    _project(root)
    encoding = Encoding(load_params(root / "params.yaml"), TASK, (NAME,), root / "out")
    todo = [shard for shard in encoding.plan()[0] if shard.variant == "default"]
    encoding.begin(todo)
    source = encoding._sources[NAME]
    pixels = torch.rand(source.batch, 3, 224, 224, device="cuda")

    def bare() -> float:
        torch.cuda.synchronize()
        start = time.perf_counter()
        for _ in range(ROWS // source.batch):
            source._encoder.embed_pixels(pixels)  # type: ignore[attr-defined]
        torch.cuda.synchronize()
        return time.perf_counter() - start

    list(encoding.run(todo[:1]))
    bare()
    ours, theirs = [], []
    for shard in todo[1:]:
        start = time.perf_counter()
        list(encoding.run([shard]))
        ours.append(time.perf_counter() - start)
        theirs.append(bare())
    ratio = statistics.median(b / a for a, b in zip(ours, theirs, strict=True))
    detail = (
        f"{NAME}, bf16: {ROWS / statistics.median(ours):.0f} frames/s of {PIXELS} px from tar to synced shard, forward alone "
        f"{ROWS / statistics.median(theirs):.0f} frames/s; {len(ours)} shards of {ROWS} frames, batch {source.batch}"
    )
    return {"id": "encode_gpu_vs_forward", "ratio": ratio, "detail": detail}


def _project(root: Path) -> None:
    """Frames of one look."""
    from typing import Any

    from datasets.frames import DEFAULT_LOOK, Frames, FrameSet, FrameShard, save_frames_index
    from datasets.manifest import write_manifest
    from pipeline import pretrain
    from pipeline.parallel import process_pool
    from tests.checkpoints import spec_of, write_checkpoint
    from tests.synthetic import TASK, make_trajectories, write_params, write_trajectories

    data = make_trajectories(episodes=SHARDS, length=ROWS, validation=1)
    write_trajectories(root, data)
    folder = root / "data" / "frames" / TASK
    (folder / DEFAULT_LOOK.variant).mkdir(parents=True)
    names = [f"{DEFAULT_LOOK.variant}/{episode:06d}.tar" for episode in range(SHARDS)]
    with process_pool(0) as pool:
        list(pool.map(_write, [folder / name for name in names], range(SHARDS)))
    rows = [data.rows_of(episode) for episode in range(SHARDS)]
    shards = [
        FrameShard(name, [episode], [[at.start, at.stop]]) for episode, (name, at) in enumerate(zip(names, rows, strict=True))
    ]
    save_frames_index(Frames(TASK, PIXELS, "0", "fast", [FrameSet(DEFAULT_LOOK, shards)]), folder)
    write_manifest(folder, {"stage": "render"})
    weights = str(write_checkpoint(spec_of(NAME), root))

    def change(values: dict[str, Any]) -> None:
        values["compute"].update(device="cuda")
        values["encode"].update(precision="bf16", chunk=ROWS, shard=ROWS)
        values["weights"][NAME] = weights

    os.environ["ENCORE_STORE"] = str(root / "store")
    write_params(root, change)
    pretrain.main(NAME, TASK)


def _write(path: Path, episode: int) -> None:
    """Frames as rendered ones are: smooth, with a little noise."""
    import numpy as np

    from datasets.frames import write_frame_shard

    across = np.linspace(0, 1, PIXELS)[:, None, None]
    grain = np.random.default_rng(0).integers(0, 2, (PIXELS, PIXELS, 3))
    frames = ((episode, t, (200 * np.abs(np.sin(across + 0.01 * t)) + grain).astype(np.uint8)) for t in range(ROWS))
    write_frame_shard(path, frames)
