"""The value of a state as a distribution over symexp-spaced bins (DreamerV3, arXiv 2301.04104 v2, equations 9 to 11)."""

from typing import NamedTuple

from torch import Tensor, nn

from trainers.worldmodel.layers import mlp
from trainers.worldmodel.losses import reward_bins, two_hot_loss, two_hot_mean


class Value(NamedTuple):
    """A distribution over returns.

    Attributes:
        logits: float32 [..., bins].
        bins: float32 [bins], ascending.
    """

    logits: Tensor
    bins: Tensor

    @property
    def mean(self) -> Tensor:
        """Float32 [...], the expected return."""
        return two_hot_mean(self.logits, self.bins)

    def loss(self, returns: Tensor) -> Tensor:
        """Cross-entropy, float32 [...], against the two-hot encoding of float32 [...]."""
        return two_hot_loss(self.logits, returns, self.bins)


class Critic(nn.Module):
    """Features to a value; zero everywhere before training."""

    bins: Tensor  # float32 [255]

    def __init__(self, feature_dim: int, units: int, layers: int) -> None:
        super().__init__()
        self.register_buffer("bins", reward_bins(), persistent=False)
        self.network = mlp(feature_dim, units, layers, len(self.bins), scale=0.0)

    def forward(self, feature: Tensor) -> Value:
        """Features float32 [..., F] to a value of [...]."""
        return Value(self.network(feature), self.bins)
