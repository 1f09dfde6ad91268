"""Plan2Explore (arXiv 2005.05960): where an ensemble of one-step predictions disagrees, the world model has something to learn.

As upstream's `Disag` (danijar/dreamerv3, `expl.py` of 2023): every member predicts the next stochastic latent from features and
action; the bonus is the standard deviation over members, averaged over the latent's dimensions.
"""

from itertools import pairwise

import torch
import torch.nn.functional as F
from jaxtyping import Bool, Float
from torch import Tensor, nn

from trainers.worldmodel.layers import EPS, init_


class Disagreement(nn.Module):
    """M members, each a perceptron of its own with `layers` hidden layers, evaluated together."""

    def __init__(self, members: int, feature_dim: int, action_dim: int, latent_dim: int, units: int, layers: int) -> None:
        """
        Args:
            members: M. feature_dim, action_dim, latent_dim: F, A, and S, of the stochastic latent flattened.
            units, layers: of the hidden layers.
        """
        super().__init__()
        sizes = [feature_dim + action_dim, *[units] * layers, latent_dim]
        self.weights = nn.ParameterList(torch.empty(members, i, o) for i, o in pairwise(sizes))
        self.biases = nn.ParameterList(torch.zeros(members, 1, o) for o in sizes[1:])
        for weight in self.weights:
            init_(weight, weight.shape[1])

    def forward(self, feature: Float[Tensor, "n F"], action: Float[Tensor, "n A"]) -> Float[Tensor, "M n S"]:
        """What each member predicts of the latent that `action` leads to."""
        x = torch.cat([feature, action], -1).expand(len(self.weights[0]), -1, -1)
        for layer, (weight, bias) in enumerate(zip(self.weights, self.biases, strict=True)):
            if layer:
                x = F.silu(F.rms_norm(x, x.shape[-1:], eps=EPS))
            x = torch.baddbmm(bias, x, weight)
        return x

    def bonus(self, feature: Float[Tensor, "*n F"], action: Float[Tensor, "*n A"]) -> Float[Tensor, "*n"]:
        """Standard deviation over members, averaged over dimensions; differentiable."""
        spread = self(feature.flatten(0, -2), action.flatten(0, -2)).std(0, correction=0).mean(-1)
        made: Tensor = spread.unflatten(0, feature.shape[:-1])
        return made

    def loss(
        self,
        feature: Float[Tensor, "B L F"],
        latent: Float[Tensor, "B L S"],
        action: Float[Tensor, "B L A"],
        is_first: Bool[Tensor, "B L"],
    ) -> Float[Tensor, ""]:
        """Half the squared error of every member, summed over members and dimensions, averaged over transitions.

        Args:
            feature, latent: of posterior states, constants.
            action: that led to each row. is_first: rows that nothing led to.
        """
        predicted = self(feature[:, :-1].flatten(0, 1), action[:, 1:].flatten(0, 1))
        error = 0.5 * (predicted - latent[:, 1:].flatten(0, 1)).square().sum((0, 2))
        led = (~is_first[:, 1:]).flatten().float()
        return (error * led).sum() / led.sum().clamp(min=1)
