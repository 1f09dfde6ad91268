"""RMSNorm and SiLU on a GPU, each way in one pass over memory; its output is in the precision of its input."""

from typing import Any

import torch
from torch import Tensor

from trainers import kernels
from trainers.worldmodel.vmapped import models_first

_MOST = 4096  # numbers of a row
_TILE = 4096  # numbers of a tile
_PROGRAMS = 128  # of a backward pass, for each model


def fits(x: Tensor, scale: Tensor) -> bool:
    """Whether the kernels can do it."""
    return scale.dtype == torch.float32 and x.shape[-1] <= _MOST and kernels.reach(x)


def norm_silu(x: Tensor, scale: Tensor, eps: float) -> Tensor:
    """silu(x / rms(x) * scale) [..., size] in x's dtype; rows are not empty."""
    made: Tensor = _NormSilu.apply(x, scale, eps)[0]
    return made


class _NormSilu(torch.autograd.Function):
    """x [..., size] and scale [size]; or, under `vmap`, x [M, ..., size] and scale [M, size] of M models."""

    @staticmethod
    def forward(x: Tensor, scale: Tensor, eps: float) -> tuple[Tensor, Tensor]:
        from trainers.kernels import norm

        x, scale = x.contiguous(), scale.contiguous()
        out, rstd = torch.empty_like(x), x.new_empty(x.shape[:-1], dtype=torch.float32)
        models, rows, size, sizes = _sizes(x, scale)
        norm.forward[(-(-rows // sizes["BM"]), models)](x, scale, out, rstd, rows, SIZE=size, EPS=eps, **sizes)
        return out, rstd

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple[Any, ...], output: tuple[Tensor, Tensor]) -> None:
        ctx.save_for_backward(*inputs[:2], output[1])
        ctx.mark_non_differentiable(output[1])
        ctx.set_materialize_grads(False)

    @staticmethod
    def vmap(info: Any, in_dims: tuple[int | None, ...], x: Tensor, scale: Tensor, eps: float) -> tuple[Any, Any]:
        """Several models' as one, on a first axis."""
        x, scale = (models_first(value, dim, info.batch_size) for value, dim in zip((x, scale), in_dims, strict=False))
        return _NormSilu.apply(x, scale, eps), (0, 0)

    @staticmethod
    def backward(ctx: Any, grad: Tensor | None, *_: None) -> tuple[Tensor | None, Tensor | None, None]:
        from trainers.kernels import norm

        if grad is None:
            return None, None, None
        x, scale, rstd = ctx.saved_tensors
        x, scale, grad = x.contiguous(), scale.contiguous(), grad.contiguous()
        models, rows, size, sizes = _sizes(x, scale)
        tiles = -(-rows // sizes["BM"])
        programs = min(_PROGRAMS, tiles)
        to_x, shares = torch.empty_like(x), scale.new_empty(models, programs, size)
        norm.backward[(programs, models)](
            x, rstd, scale, grad, to_x, shares, rows, TILES=-(-tiles // programs), SIZE=size, **sizes
        )
        return to_x, shares.sum(1).view(scale.shape), None


def _sizes(x: Tensor, scale: Tensor) -> tuple[int, int, int, dict[str, int]]:
    """(models, rows of each, size of a row, sizes of a tile)."""
    size, models = x.shape[-1], 1 if scale.dim() == 1 else len(scale)
    space = kernels.power_of_two(size)
    return models, x.numel() // size // models, size, {"SPACE": space, "BM": max(1, _TILE // space)}
