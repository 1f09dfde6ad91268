"""Linear maps and normalisation as DreamerV3 uses them: RMSNorm, SiLU, truncated-normal initialisation by fan-in."""

import math
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from trainers.worldmodel import norm_fused
from trainers.worldmodel.vmapped import models_first

silu_backward = torch.ops.aten.silu_backward  # (gradient, input)
EPS = 1e-4  # of RMSNorm, as upstream


def init_(weight: Tensor, fan_in: int, scale: float = 1.0) -> None:
    """Truncated normal of standard deviation scale / sqrt(fan_in), in place (0.8796: the truncated normal's own)."""
    if scale == 0:
        nn.init.zeros_(weight)
        return
    std = scale / math.sqrt(fan_in) / 0.87962566103423978
    nn.init.trunc_normal_(weight, std=std, a=-2 * std, b=2 * std)


def linear(inputs: int, outputs: int, scale: float = 1.0, bias: bool = True, fan_in: int | None = None) -> nn.Linear:
    """[..., inputs] -> [..., outputs]; `fan_in` where several maps are summed."""
    layer = nn.Linear(inputs, outputs, bias=bias)
    init_(layer.weight, fan_in or inputs, scale)
    if bias:
        nn.init.zeros_(layer.bias)
    return layer


class BlockLinear(nn.Module):
    """Block-diagonal map [B, G * i] -> [B, G * o] without bias."""

    def __init__(self, inputs: int, outputs: int, blocks: int, fan_in: int | None = None) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.empty(blocks, inputs // blocks, outputs // blocks))
        init_(self.weight, fan_in or inputs // blocks)

    def forward(self, x: Tensor) -> Tensor:
        blocks, size, _ = self.weight.shape
        y = torch.bmm(x.view(-1, blocks, size).transpose(0, 1), self.weight)  # (G, B, o)
        return y.transpose(0, 1)  # (B, G, o)


class NormSilu(nn.Module):
    """SiLU of RMSNorm over the last axis."""

    def __init__(self, size: int) -> None:
        super().__init__()
        self.scale = nn.Parameter(torch.ones(size))

    def forward(self, x: Tensor) -> Tensor:
        if norm_fused.fits(x, self.scale):
            return norm_fused.norm_silu(x, self.scale, EPS)
        made: Tensor = _NormSilu.apply(x.to(self.scale.dtype), self.scale)[0]
        return made


class _NormSilu(torch.autograd.Function):
    """In half the passes over memory that autograd takes; `scale` has one axis, or as many as x, to be broadcast."""

    @staticmethod
    def forward(x: Tensor, scale: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        rstd = torch.linalg.vecdot(x, x).unsqueeze(-1).div_(x.shape[-1]).add_(EPS).rsqrt_()
        unit = x * rstd
        return F.silu(unit * scale), unit, rstd

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple[Tensor, Tensor], output: tuple[Tensor, Tensor, Tensor]) -> None:
        ctx.save_for_backward(*output[1:], inputs[1])
        ctx.mark_non_differentiable(*output[1:])
        ctx.set_materialize_grads(False)

    @staticmethod
    def vmap(info: Any, in_dims: tuple[int | None, int | None], x: Tensor, scale: Tensor) -> tuple[tuple[Tensor, ...], Any]:
        """Several models' as one, on a first axis."""
        x, scale = (models_first(value, dim, info.batch_size) for value, dim in zip((x, scale), in_dims, strict=True))
        made: tuple[Tensor, ...] = _NormSilu.apply(x, scale.view(len(x), *[1] * (x.dim() - 2), -1))
        return made, (0,) * len(made)

    @staticmethod
    def backward(ctx: Any, grad: Tensor | None, *_: None) -> tuple[Tensor | None, Tensor | None]:
        if grad is None:
            return None, None
        unit, rstd, scale = ctx.saved_tensors
        grad = silu_backward(grad, unit * scale)  # of the scaled norm
        by_scale = grad * unit
        of_scale = by_scale @ scale if scale.dim() == 1 else torch.linalg.vecdot(by_scale, scale)
        mean = of_scale.unsqueeze(-1).div_(-unit.shape[-1])
        to_scale = by_scale.flatten(0, -2).sum(0) if scale.dim() == 1 else by_scale.sum_to_size(scale.shape)
        return (grad * scale).addcmul_(unit, mean).mul_(rstd), to_scale


def trunk(inputs: int, units: int, layers: int) -> nn.Sequential:
    """`layers` x (linear, RMSNorm, SiLU)."""
    parts: list[nn.Module] = []
    for i in range(layers):
        parts += [linear(units if i else inputs, units, bias=False), NormSilu(units)]
    return nn.Sequential(*parts)


def mlp(inputs: int, units: int, layers: int, outputs: int, scale: float = 1.0) -> nn.Sequential:
    """`trunk`, then a linear map whose initial weights are scaled by `scale`."""
    return trunk(inputs, units, layers).append(linear(units, outputs, scale))
