"""Frames in, shards written and synced, against the bare forward pass on the same number of frames.

A ViT-S/16 at 224 pixels (dino_vits16), 512 frames of 256 pixels; then three encoders in one pass (with r3m_rn18 and theia_tiny)
against the sum of their forward passes. Wall time of one process with one torch thread, in alternation, shard by shard: decoding,
resampling and writing run beside the forward pass where there is a second core.
"""

import os
import statistics
import tempfile
import time
from collections.abc import Iterator
from contextlib import chdir
from pathlib import Path
from typing import TYPE_CHECKING, Any

from benchmarks import Row

if TYPE_CHECKING:
    from pipeline.params import Params

ONE, THREE = ("dino_vits16",), ("dino_vits16", "r3m_rn18", "theia_tiny")
PIXELS, ROWS, SHARDS, BATCH = 256, 128, 4, 32


def measure() -> Iterator[Row]:
    with tempfile.TemporaryDirectory() as folder, chdir(folder):
        p = _project(Path(folder))
        for key, names in (("encode_cpu_vs_forward", ONE), ("encode_three_vs_forwards", THREE)):
            yield _ratio(key, p, names, Path(folder) / key)


def _project(root: Path) -> "Params":
    from pipeline import pretrain
    from pipeline.params import load_params
    from tests.checkpoints import spec_of, write_checkpoint
    from tests.synthetic import TASK, make_trajectories, write_frames, write_params, write_trajectories

    data = make_trajectories(episodes=SHARDS, length=ROWS, validation=1)
    write_trajectories(root, data)
    write_frames(root, data, size=PIXELS)
    files = {name: str(write_checkpoint(spec_of(name), root)) for name in THREE}

    def change(values: dict[str, Any]) -> None:
        values["encode"].update(batch=BATCH, chunk=ROWS, shard=ROWS)
        values["weights"].update(files)

    os.environ["ENCORE_STORE"] = str(root / "store")
    params = write_params(root, change)
    for name in THREE:
        pretrain.main(name, TASK)
    return load_params(params)


def _ratio(key: str, p: "Params", names: tuple[str, ...], store: Path) -> Row:
    import torch

    from pipeline.encode_shards import Encoding
    from tests.synthetic import TASK

    encoding = Encoding(p, TASK, names, store)
    todo = [shard for shard in encoding.plan()[0] if shard.variant == "default"]
    encoding.begin(todo)
    sources: dict[str, Any] = encoding._sources
    networks = [(sources[name]._encoder, name) for name in names]
    pixels = {name: torch.rand(BATCH, 3, encoder.size, encoder.size) for encoder, name in networks}

    def bare() -> None:
        for encoder, name in networks:
            for _ in range(ROWS // BATCH):
                encoder.embed_pixels(pixels[name])

    bare()
    ours, theirs = [], []
    for shard in todo:
        start = time.perf_counter()
        list(encoding.run([shard]))
        ours.append(time.perf_counter() - start)
        start = time.perf_counter()
        bare()
        theirs.append(time.perf_counter() - start)
    ratios = [b / a for a, b in zip(ours, theirs, strict=True)]
    ratio = statistics.median(ratios) if len(names) == 1 else 1 / statistics.median(ratios)
    detail = (
        f"{', '.join(names)}: {sum(ours) / ROWS / SHARDS * 1e3:.1f} ms a frame of {PIXELS} px from tar to synced shard, forward "
        f"alone {sum(theirs) / ROWS / SHARDS * 1e3:.1f} ms; {ROWS * SHARDS} frames, batch {BATCH}, wall time, 1 torch thread"
    )
    return {"id": key, "ratio": ratio, "detail": detail}
