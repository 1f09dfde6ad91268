"""Linear maps and normalisation as DreamerV3 uses them: RMSNorm, SiLU, truncated-normal initialisation by fan-in."""

import math
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

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
        made: Tensor = _NormSilu.apply(x, self.scale)
        return made


class _NormSilu(torch.autograd.Function):
    """In half the passes over memory that autograd takes."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, scale: Tensor) -> Tensor:
        rstd = torch.linalg.vecdot(x, x).unsqueeze(-1).div_(x.shape[-1]).add_(EPS).rsqrt_()
        unit = x * rstd
        ctx.save_for_backward(unit, rstd, scale)
        return F.silu(unit * scale)

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor, Tensor]:
        unit, rstd, scale = ctx.saved_tensors
        grad = silu_backward(grad, unit * scale)  # of the scaled norm
        by_scale = grad * unit
        mean = (by_scale @ scale).unsqueeze(-1).div_(-unit.shape[-1])
        return (grad * scale).addcmul_(unit, mean).mul_(rstd), by_scale.flatten(0, -2).sum(0)


def trunk(inputs: int, units: int, layers: int) -> nn.Sequential:
    """`layers` x (linear, RMSNorm, SiLU)."""
    parts: list[nn.Module] = []
    for i in range(layers):
        parts += [linear(units if i else inputs, units, bias=False), NormSilu(units)]
    return nn.Sequential(*parts)


def mlp(inputs: int, units: int, layers: int, outputs: int, scale: float = 1.0) -> nn.Sequential:
    """`trunk`, then a linear map whose initial weights are scaled by `scale`."""
    return trunk(inputs, units, layers).append(linear(units, outputs, scale))
