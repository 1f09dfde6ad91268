"""The policy: a normal distribution whose mean is bounded by tanh and whose deviation stays within [0.1, 1].

DreamerV3's `bounded_normal` head (danijar/dreamerv3, embodied/jax/outs.py and heads.py).
"""

import math
from typing import NamedTuple

import torch
from torch import Tensor, nn

from trainers.worldmodel.layers import mlp

MIN_STD, MAX_STD = 0.1, 1.0


class Policy(NamedTuple):
    """A diagonal normal over actions in the unit box (samples may leave it; the task gets them clipped).

    Attributes:
        mean: float32 [..., A], within (-1, 1).
        std: float32 [..., A], within (MIN_STD, MAX_STD).
    """

    mean: Tensor
    std: Tensor

    @property
    def mode(self) -> Tensor:
        """Float32 [..., A], the most likely action."""
        return self.mean

    def sample(self) -> Tensor:
        """Float32 [..., A], reparameterised, from torch's global generator."""
        return self.mean + self.std * torch.randn_like(self.mean)

    def entropy(self) -> Tensor:
        """Float32 [...], in nats."""
        return (self.std.log() + 0.5 * math.log(2 * math.pi * math.e)).sum(-1)


class Actor(nn.Module):
    """Features to a policy, and the policy's actions to the task's units."""

    low: Tensor  # [A]
    high: Tensor  # [A]

    def __init__(self, feature_dim: int, low: Tensor, high: Tensor, units: int, layers: int) -> None:
        super().__init__()
        self.register_buffer("low", low.float())
        self.register_buffer("high", high.float())
        self.network = mlp(feature_dim, units, layers, 2 * len(low), scale=0.01)

    def forward(self, feature: Tensor) -> Policy:
        """Features float32 [..., F] to a policy over [..., A]."""
        mean, std = self.network(feature).chunk(2, -1)
        return Policy(torch.tanh(mean), (MAX_STD - MIN_STD) * torch.sigmoid(std + 2) + MIN_STD)

    def to_task(self, action: Tensor) -> Tensor:
        """Unit-box actions [..., A], clipped, in the task's units."""
        return self.low + (action.clamp(-1, 1) + 1) / 2 * (self.high - self.low)
