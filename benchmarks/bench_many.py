"""Updates on a GPU: one model's, as one CUDA graph in bfloat16; and eight models' as one program, beside eight times one.

The update is the offline trainer's own: windows drawn from rows on the GPU, noise, forward, backward, clipping, optimiser.
"""

import time
from collections.abc import Iterator
from pathlib import Path

import torch

from benchmarks import Row, Skip
from benchmarks.bench_update import BATCH, EMBEDDING, LENGTH, RSSM, config, make_rows
from datasets.windows import WindowSampler
from trainers.arithmetic import Precision
from trainers.feed import HeldFeed
from trainers.offline import Member, OfflineTrainer, Settings
from trainers.worldmodel import WorldModel

MODELS, UPDATES, ROUNDS, MOST_MS = 8, 200, 5, 6.0


def measure() -> Iterator[Row]:
    if not torch.cuda.is_available():
        raise Skip("there is no GPU")
    torch.set_float32_matmul_precision("high")
    one, many = (trainer(count, torch.device("cuda"), "bf16") for count in (1, MODELS))
    alone, together = zip(*((_seconds(one, UPDATES), _seconds(many, UPDATES)) for _ in range(ROUNDS)), strict=True)
    first, all_of_them = min(alone), min(together)
    size = f"batch {BATCH} x {LENGTH}, embedding {EMBEDDING}, {RSSM}, bf16, one CUDA graph an update"
    yield {
        "id": "update_gpu_vs_6ms", "ratio": 1e3 * first / MOST_MS,
        "detail": f"{1e3 * first:.2f} ms an update, {1 / first:.0f} updates/s ({size})",
    }  # fmt: skip
    yield {
        "id": "many_models_gpu", "ratio": all_of_them / (MODELS * first),
        "detail": f"{MODELS} models {1e3 * all_of_them:.2f} ms, one {1e3 * first:.2f} ms: {MODELS / all_of_them:.0f} "
        f"models' updates/s ({size})",
    }  # fmt: skip


def trainer(count: int, device: torch.device, precision: Precision) -> OfflineTrainer:
    """Of `count` models that read the same rows, each its own windows."""
    rows = make_rows(device)
    members = []
    for seed in range(count):
        torch.manual_seed(seed)
        with device:
            model = WorldModel(config())
        sampler = WindowSampler(torch.arange(len(rows.reward) - LENGTH + 1).numpy(), BATCH, seed)
        members.append(Member(model, HeldFeed(rows, sampler, LENGTH, str(device)), seed))
    return OfflineTrainer(members, Settings(10**9, 1e-4, 100.0, 10**9, precision=precision), Path("/nonexistent"))


def _seconds(trainer: OfflineTrainer, updates: int) -> float:
    """Of an update, once it is a graph."""
    took = []

    def track(todo: range) -> Iterator[int]:
        for count, update in enumerate(todo):
            if count in (10, 10 + updates):
                torch.cuda.synchronize()
                took.append(time.perf_counter())
                if count > 10:
                    return
            yield update

    trainer.run(track)
    return (took[1] - took[0]) / updates
