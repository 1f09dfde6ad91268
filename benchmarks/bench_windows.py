"""Drawing random training windows from embeddings in memory, against one contiguous copy of the same bytes.

Batch 16 x 64 of float16 [768] embeddings with action, reward and flags, from a store of a million frames.
"""

from collections.abc import Iterator

import numpy as np

from benchmarks import Row
from benchmarks.timing import paired_ratio

FRAMES, DIM, ACTION = 1_000_000, 768, 6
BATCH, LENGTH, EPISODE = 16, 64, 500
PAIRS, CALLS = 41, 20


def measure() -> Iterator[Row]:
    import torch

    from datasets.windows import WindowSampler
    from trainers.data import Rows

    torch.set_num_threads(1)
    embedding = torch.zeros((FRAMES, DIM), dtype=torch.float16).fill_(1.0)  # filled: every page is really there
    is_first = torch.zeros(FRAMES, dtype=torch.bool)
    is_first[::EPISODE] = True
    rows = Rows(embedding, torch.ones(FRAMES, ACTION), torch.ones(FRAMES), is_first, torch.zeros(FRAMES, dtype=torch.bool))
    starts = np.arange(FRAMES, dtype=np.int64)
    sampler = WindowSampler(starts[starts % EPISODE <= EPISODE - LENGTH], BATCH, LENGTH, seed=0)

    bytes_drawn = sum(a.element_size() * a[0].numel() for a in rows) * BATCH * LENGTH
    store, target = embedding.view(torch.uint8).flatten(), torch.empty(bytes_drawn, dtype=torch.uint8)
    rng = np.random.default_rng(1)

    def draw() -> object:
        return rows.windows(torch.from_numpy(sampler.next()))

    def copy() -> object:
        start = int(rng.integers(len(store) - bytes_drawn))
        return target.copy_(store[start : start + bytes_drawn])

    ratio, ours, theirs = paired_ratio(draw, copy, PAIRS, CALLS)
    detail = (
        f"{ours * 1e6:.0f} us a batch, {theirs * 1e6:.0f} us a copy of {bytes_drawn} bytes; {FRAMES} frames, CPU time, 1 thread"
    )
    yield {"id": "windows_ram_vs_memcpy", "ratio": ratio, "detail": detail}
