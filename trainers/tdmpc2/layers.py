"""Linear maps and normalisation as TD-MPC2 uses them: LayerNorm, Mish, simplicial latents (upstream `common/layers.py`)."""

from itertools import pairwise

import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn

from trainers.tdmpc2.config import GROUP

INIT_STD = 0.02  # of every linear map's weights (upstream `common/init.py`)


def simnorm(x: Float[Tensor, "*n Z"], group: int = GROUP) -> Float[Tensor, "*n Z"]:
    """Softmax within each group of dimensions, [..., Z] -> [..., Z] (upstream `SimNorm`, arXiv 2204.00616)."""
    return x.unflatten(-1, (-1, group)).softmax(-1).flatten(-2)


class SimNorm(nn.Module):
    """`simnorm` as a layer."""

    def forward(self, x: Tensor) -> Tensor:
        return simnorm(x)


def linear(inputs: int, outputs: int) -> nn.Linear:
    """[..., inputs] -> [..., outputs], weights truncated-normal, no bias at first."""
    layer = nn.Linear(inputs, outputs)
    nn.init.trunc_normal_(layer.weight, std=INIT_STD)
    nn.init.zeros_(layer.bias)
    return layer


class NormedLinear(nn.Module):
    """Mish, or another activation, of LayerNorm of a linear map: [..., inputs] -> [..., outputs]."""

    def __init__(self, inputs: int, outputs: int, activation: nn.Module | None = None) -> None:
        super().__init__()
        self.linear, self.norm = linear(inputs, outputs), nn.LayerNorm(outputs)
        self.activation = activation or nn.Mish()

    def forward(self, x: Tensor) -> Tensor:
        return self.activation(self.norm(self.linear(x)))


def mlp(inputs: int, units: int, layers: int, last: nn.Module) -> nn.Sequential:
    """`layers` hidden layers of `units`, then `last`, which reads them."""
    return nn.Sequential(*(NormedLinear(a, b) for a, b in pairwise([inputs, *[units] * layers])), last)


def zeroed(layer: nn.Linear) -> nn.Linear:
    """The layer with all-zero weights: a discrete regression starts out uniform, its mean exactly 0."""
    nn.init.zeros_(layer.weight)
    return layer


def mish(x: Tensor, scale: Tensor, shift: Tensor) -> Tensor:
    """Mish of LayerNorm over the last axis with parameters that broadcast against [..., D]."""
    return F.mish(F.layer_norm(x, x.shape[-1:]) * scale + shift)
