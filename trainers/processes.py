"""Training on several devices: each process has a share of every batch, and all make the same step (`torchrun`).

Gradients are averaged between the backward pass and clipping. They are a few MB and an update is bound by the recurrence, so
there is nothing to gain from sending them while it runs, which `DistributedDataParallel` is for; and an update of TD-MPC2 has two
losses that reach different parameters, which it would have to search for.
"""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import torch
import torch.distributed as dist
from torch import Tensor

from datasets.windows import launched


def device_of(device: str) -> torch.device:
    """This process's own of what `compute.device` says: under `torchrun` each has a GPU."""
    rank, world = launched()
    return torch.device(device) if device == "cpu" or world == 1 else torch.device(device, rank % torch.cuda.device_count())


@contextmanager
def joined(device: str) -> Iterator[None]:
    """The processes of `torchrun` exchange tensors while the block runs: by NCCL between GPUs, by gloo between CPUs.

    Args:
        device: cpu or cuda, of all of them.
    """
    own = device_of(device)
    if own.type == "cuda":
        torch.cuda.set_device(own)
    dist.init_process_group("gloo" if own.type == "cpu" else "nccl")
    try:
        yield
    finally:
        dist.destroy_process_group()


def _alone() -> bool:
    return not (dist.is_available() and dist.is_initialized())


def told(values: Sequence[Any]) -> list[Any]:
    """What the first process has, everywhere: plain values."""
    held = list(values)
    if not _alone():
        dist.broadcast_object_list(held, src=0)
    return held


def averaged_(values: Sequence[Tensor]) -> None:
    """Each replaced by its mean over the processes, in one exchange."""
    if _alone() or not values:
        return
    flat = torch.cat([value.flatten() for value in values])
    dist.all_reduce(flat)
    flat /= dist.get_world_size()
    for value, mean in zip(values, flat.split([value.numel() for value in values]), strict=True):
        value.copy_(mean.view_as(value))


def gathered(x: Tensor) -> Tensor:
    """Rows [n, ...] of all processes, [n * world, ...]; gradients go back to where each came from.

    Every process computes the same loss of all rows, whose gradients `averaged_` then averages: so each row's are summed here.
    """
    if _alone():
        return x
    made: Tensor = _Gathered.apply(x)
    return made


class _Gathered(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor) -> Tensor:
        parts = [torch.empty_like(x) for _ in range(dist.get_world_size())]
        dist.all_gather(parts, x.contiguous())
        return torch.cat(parts)

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> Tensor:
        grad = grad.contiguous()
        dist.all_reduce(grad)
        return grad.chunk(dist.get_world_size())[dist.get_rank()]
