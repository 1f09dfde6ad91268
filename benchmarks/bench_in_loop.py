"""An update from stored embeddings, against the same update with ViT-B/16 at 224 run on its frames first.

What every tool pays that keeps the frozen encoder in its training loop. Frames of 64 pixels; the checkpoint is filled by the rule
of `tests/oracles`; CPU, one thread. An eighth of a batch is embedded and counted eight times: the forward passes are alike.
"""

import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

from benchmarks import Row
from benchmarks.bench_update import BATCH, LENGTH, make_trainer

NAME = "dino_vitb16"
PASS, PART = 32, 8  # frames of a forward pass; one in so many of a batch's frames is embedded


def measure() -> Iterator[Row]:
    import numpy as np
    import torch

    from pipeline.encoders import load_encoder
    from tests.checkpoints import spec_of, write_checkpoint

    torch.set_num_threads(1)
    with tempfile.TemporaryDirectory() as folder:
        encoder = load_encoder(NAME, write_checkpoint(spec_of(NAME), Path(folder)))
    frames = np.random.default_rng(0).integers(0, 256, (PASS, 64, 64, 3), dtype=np.uint8)
    encoder.embed(frames)
    passes = BATCH * LENGTH // PASS // PART
    seconds: list[float] = []
    embedding: list[float] = []

    def track(todo: range) -> Iterator[int]:
        for update in todo:
            start = time.thread_time()
            yield update
            seconds.append(time.thread_time() - start)
            if len(embedding) < passes:
                start = time.thread_time()
                encoder.embed(frames)
                embedding.append(time.thread_time() - start)

    make_trainer().run(track)
    update = sorted(seconds[1:])[len(seconds[1:]) // 2]
    inside = sum(embedding) / len(embedding) * passes * PART
    detail = (
        f"{update:.2f} s an update from stored embeddings, {inside:.0f} s more with {NAME} in the loop; "
        f"batch {BATCH} x {LENGTH}, CPU time, 1 thread"
    )
    yield {"id": "update_cached_vs_in_loop", "ratio": (update + inside) / update, "detail": detail}
