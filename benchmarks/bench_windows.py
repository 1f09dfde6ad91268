"""Drawing random training windows, against copies of the same bytes and against other readers of the same data.

Batch 16 x 64 of float16 [768] embeddings with action, reward and flags, from a store of a million frames: rows in memory, shards
mapped (warm), torchrl's ReplayBuffer (LazyMemmapStorage, SliceSampler), zarr-python's slices of our shards. Needs 4 GB of disk.
"""

import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from benchmarks import Row
from benchmarks.timing import paired_ratio

if TYPE_CHECKING:
    from datasets.mapped import MappedRows
    from datasets.windows import WindowSampler
    from trainers.data import Rows

FRAMES, DIM, ACTION = 1_000_000, 768, 6
BATCH, LENGTH, EPISODE = 16, 64, 500
PAIRS, CALLS = 41, 20
Draw = Callable[[], object]


def measure() -> Iterator[Row]:
    import torch

    torch.set_num_threads(1)
    rows = _rows()
    bytes_drawn = sum(a.element_size() * a[0].numel() for a in rows if a is not None) * BATCH * LENGTH
    size = f"{FRAMES} frames, CPU time, 1 thread"
    held = _held(rows)
    ratio, ours, theirs = paired_ratio(held, _copy(rows.observation, bytes_drawn), PAIRS, CALLS)
    detail = f"{ours * 1e6:.0f} us a batch, {theirs * 1e6:.0f} us a copy of {bytes_drawn} bytes; {size}"
    yield {"id": "windows_ram_vs_memcpy", "ratio": ratio, "detail": detail}
    with tempfile.TemporaryDirectory() as folder:
        group, mapped = write_shards(Path(folder) / "default.zarr", rows.observation.numpy())
        draw = _mapped(mapped, rows)
        ratio, ours, theirs = paired_ratio(draw, _copy_mapped(group, bytes_drawn), PAIRS, CALLS)
        detail = f"{ours * 1e6:.0f} us a batch, {theirs * 1e6:.0f} us a copy of {bytes_drawn} bytes of a shard; {size}"
        yield {"id": "windows_mmap_vs_memcpy", "ratio": ratio, "detail": detail}
        ratio, theirs, ours = paired_ratio(_zarr(group, rows), draw, 9, 2)
        detail = f"{theirs * 1e3:.1f} ms a batch by zarr-python's slices, {ours * 1e6:.0f} us ours, mapped; {size}"
        yield {"id": "windows_vs_zarr", "ratio": ratio, "detail": detail}
    with tempfile.TemporaryDirectory() as folder:
        ratio, theirs, ours = paired_ratio(_torchrl(Path(folder), rows), held, 15, 5)
        detail = f"{theirs * 1e3:.2f} ms a batch by torchrl, {ours * 1e6:.0f} us ours, in memory; {size}"
        yield {"id": "windows_vs_torchrl", "ratio": ratio, "detail": detail}


def _rows() -> "Rows":
    import torch

    from trainers.data import Rows

    embedding = torch.zeros((FRAMES, DIM), dtype=torch.float16).fill_(1.0)  # filled: every page is really there
    is_first = torch.zeros(FRAMES, dtype=torch.bool)
    is_first[::EPISODE] = True
    return Rows(embedding, torch.ones(FRAMES, ACTION), torch.ones(FRAMES), is_first, torch.zeros(FRAMES, dtype=torch.bool))


def _sampler(seed: int = 0) -> "WindowSampler":
    from datasets.windows import WindowSampler

    starts = np.arange(FRAMES, dtype=np.int64)
    return WindowSampler(starts[starts % EPISODE <= EPISODE - LENGTH], BATCH, seed)


def _held(rows: "Rows") -> Draw:
    from trainers.feed import HeldFeed

    return HeldFeed(rows, _sampler(), LENGTH).next


def _copy(values: Any, count: int) -> Draw:
    """One contiguous copy of `count` bytes from a random offset."""
    import torch

    store, target = values.view(torch.uint8).flatten(), torch.empty(count, dtype=torch.uint8)
    rng = np.random.default_rng(1)

    def copy() -> object:
        start = int(rng.integers(len(store) - count))
        return target.copy_(store[start : start + count])

    return copy


def write_shards(group: Path, values: Any) -> "tuple[Path, MappedRows]":
    """Values [T, D] as `encode` stores them (chunks of 256 rows, shards of 4096), and mapped."""
    from datasets.embedding_shards import ARRAY, EmbeddingWriter, Layout
    from datasets.mapped import MappedRows

    writer = EmbeddingWriter(group, Layout(len(values), values.shape[1:], "float16", 256, 4096), {})
    for index in range(-(-len(values) // 4096)):
        writer.write(index, values[index * 4096 : (index + 1) * 4096])
    mapped = MappedRows(group / ARRAY)
    mapped.rows(np.arange(0, len(values), 64))  # warm
    return group, mapped


def _mapped(mapped: "MappedRows", rows: "Rows") -> Draw:
    """What the reading thread does for a batch: the windows of every array into memory that is used again."""
    from trainers.feed import MappedFeed, Part

    feed = MappedFeed([Part(_Trajectories(rows), mapped)], _sampler(), BATCH, LENGTH, "cpu")  # type: ignore[arg-type]
    slot = feed._free.get()
    return lambda: feed._fill(slot)


class _Trajectories:
    def __init__(self, rows: "Rows") -> None:
        self.action, self.reward, self.is_first, self.is_terminal = (values.numpy() for values in rows[1:5])


def _copy_mapped(group: Path, count: int) -> Draw:
    """One contiguous copy of `count` bytes from a random offset of a random shard."""
    shards = [np.memmap(file, np.uint8, "r").view(np.ndarray) for file in sorted(group.glob("embedding/c/*/0"))]
    shards = [shard for shard in shards if len(shard) > count]
    target, rng = np.empty(count, np.uint8), np.random.default_rng(1)
    for shard in shards:
        shard[::4096].sum()  # warm

    def copy() -> object:
        shard = shards[int(rng.integers(len(shards)))]
        start = int(rng.integers(len(shard) - count))
        target[:] = shard[start : start + count]
        return target

    return copy


def _zarr(group: Path, rows: "Rows") -> Draw:
    """The embeddings by zarr-python, one slice a window; the small arrays as ours."""
    import torch
    import zarr

    array = zarr.open_group(group, mode="r")["embedding"]
    sampler, rest = _sampler(), rows._replace(observation=rows.reward)

    def draw() -> object:
        starts = sampler.next()
        windows = np.stack([np.asarray(array[start : start + LENGTH]) for start in starts.tolist()])  # type: ignore[index]
        return windows, rest.windows(torch.from_numpy(starts), LENGTH)

    return draw


def _torchrl(folder: Path, rows: "Rows") -> Draw:
    import torch
    from tensordict import TensorDict
    from torchrl.data import LazyMemmapStorage, ReplayBuffer, SliceSampler

    episode = torch.arange(FRAMES) // EPISODE
    storage = LazyMemmapStorage(FRAMES, scratch_dir=str(folder))
    sampler = SliceSampler(slice_len=LENGTH, traj_key="episode", cache_values=True, strict_length=True)
    buffer = ReplayBuffer(storage=storage, sampler=sampler, batch_size=BATCH * LENGTH)
    for first in range(0, FRAMES, 50_000):
        part = slice(first, first + 50_000)
        held = {name: values[part] for name, values in rows._asdict().items() if values is not None}
        buffer.extend(TensorDict({**held, "episode": episode[part]}, batch_size=[len(episode[part])]))
    buffer.sample()
    return buffer.sample
