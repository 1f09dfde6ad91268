"""The policy prior: a squashed Gaussian over actions, trained on what the Q functions say of the model's own latents."""

from typing import NamedTuple

import torch
from jaxtyping import Float
from torch import Tensor, nn

from trainers.tdmpc2.config import LOG_STD, Config
from trainers.tdmpc2.layers import linear, mlp
from trainers.tdmpc2.maths import gaussian_entropy


class Chosen(NamedTuple):
    """Sampled actions float [..., A] in [-1, 1] and their entropy float [...] (`maths.gaussian_entropy`)."""

    action: Tensor
    entropy: Tensor


class Policy(nn.Module):
    """Latents [..., Z] and standard normal noise [..., A] -> sampled actions, reparameterised (upstream `WorldModel.pi`)."""

    def __init__(self, config: Config) -> None:
        super().__init__()
        sizes = config.settings.sizes
        self.net = mlp(sizes.latent, sizes.mlp, 2, linear(sizes.mlp, 2 * config.action_dim))

    def forward(self, latent: Float[Tensor, "*n Z"], noise: Float[Tensor, "*n A"]) -> Chosen:
        mean, raw = self.net(latent).chunk(2, -1)
        low, high = LOG_STD
        log_std = low + 0.5 * (high - low) * (torch.tanh(raw) + 1)
        return Chosen(torch.tanh(mean + noise * log_std.exp()), gaussian_entropy(noise, log_std))
