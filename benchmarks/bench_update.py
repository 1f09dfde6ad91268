"""One update of the world model against what its arithmetic alone would take at the machine's best rate of matrix products.

The update is the offline trainer's own: drawing windows, forward, backward, clipping, optimiser; one thread.
"""

import time
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from benchmarks import Row

if TYPE_CHECKING:
    import torch

    from trainers.data import Rows
    from trainers.offline import OfflineTrainer
    from trainers.worldmodel import ModelConfig

BATCH, LENGTH, ROWS = 16, 64, 4096
EMBEDDING, ACTION = 768, 6
RSSM = {"deter": 512, "hidden": 512, "stoch": 32, "classes": 32, "blocks": 8, "units": 512}
UPDATES, GEMM_SIZES, GEMM_TRIES = 7, (768, 1024, 1536), 4


def update_flops(rows: int) -> float:
    """Floating-point operations of one update on `rows` steps: all matrix products, backward counted as twice forward."""
    deter, hidden, units, blocks = RSSM["deter"], RSSM["hidden"], RSSM["units"], RSSM["blocks"]
    flat = RSSM["stoch"] * RSSM["classes"]
    feature = deter + flat
    adapter = EMBEDDING * hidden
    core = (deter + flat + ACTION) * hidden + 3 * hidden * deter + deter * deter // blocks + 3 * deter * deter // blocks
    posterior = (deter + hidden) * hidden + hidden * flat
    prior = deter * hidden + hidden * hidden + hidden * flat
    decoder = feature * units + units * units + units * EMBEDDING
    reward, goes_on = feature * units + units * 255, feature * units + units
    multiply_adds = adapter + core + posterior + prior + decoder + reward + goes_on
    return 3 * 2 * rows * float(multiply_adds)


def measure() -> Iterator[Row]:
    import torch

    torch.set_num_threads(1)
    seconds: list[float] = []
    rates: list[float] = []

    def track(todo: range) -> Iterator[int]:
        for update in todo:
            rates.extend(_gemm_rate(size) for size in GEMM_SIZES for _ in range(GEMM_TRIES))
            start = time.thread_time()
            yield update
            seconds.append(time.thread_time() - start)

    make_trainer().run(track)
    warm = sorted(seconds[1:])
    update, rate, flops = warm[len(warm) // 2], max(rates), update_flops(BATCH * LENGTH)
    detail = (
        f"{update:.2f} s an update (CPU time, median of {len(warm)}), {flops / 1e9:.1f} GFLOP at {rate / 1e9:.1f} GFLOP/s "
        f"is {flops / rate:.2f} s; batch {BATCH} x {LENGTH}, embedding {EMBEDDING}, {RSSM}, 1 thread"
    )
    yield {"id": "update_cpu_vs_gemm_bound", "ratio": update * rate / flops, "detail": detail}


def make_trainer() -> "OfflineTrainer":
    import numpy as np
    import torch

    from datasets.windows import WindowSampler
    from trainers.feed import HeldFeed
    from trainers.offline import Member, OfflineTrainer, Settings
    from trainers.worldmodel import WorldModel

    rows = make_rows(torch.device("cpu"))
    torch.manual_seed(0)
    feed = HeldFeed(rows, WindowSampler(np.arange(ROWS - LENGTH + 1), BATCH, seed=0), LENGTH)
    return OfflineTrainer([Member(WorldModel(config()), feed, 0)], Settings(UPDATES, 1e-4, 100.0, UPDATES), Path("/nonexistent"))


def make_rows(device: "torch.device") -> "Rows":
    """Of random embeddings."""
    import torch

    from trainers.data import Rows

    torch.manual_seed(0)
    flags = torch.zeros(ROWS, dtype=torch.bool)
    values = (torch.randn(ROWS, EMBEDDING).half(), 2 * torch.rand(ROWS, ACTION) - 1, torch.rand(ROWS), flags, flags.clone())
    return Rows(*(value.to(device) for value in values))


def config() -> "ModelConfig":
    """The model that is timed."""
    from trainers.worldmodel import ModelConfig

    return ModelConfig.from_json({"kind": "vector", "observation_shape": [EMBEDDING], "action_dim": ACTION, "loss": {}, **RSSM})


def _gemm_rate(size: int) -> float:
    """Floating-point operations per CPU second of one fp32 matrix product [size, size] x [size, size]."""
    import torch

    a, b = torch.randn(size, size), torch.randn(size, size)
    start = time.thread_time()
    a @ b
    return 2 * size**3 / (time.thread_time() - start)
