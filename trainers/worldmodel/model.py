"""The world model: adapter or CNN, RSSM, and the heads that read its state."""

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from trainers.worldmodel.config import ModelConfig
from trainers.worldmodel.layers import linear, mlp
from trainers.worldmodel.losses import balanced_kl, reward_bins, symlog, two_hot_loss, two_hot_mean
from trainers.worldmodel.rssm import RSSM
from trainers.worldmodel.types import Batch, Posterior, State
from trainers.worldmodel.vision import FrameDecoder, FrameEncoder, reconstruction_target

Metrics = dict[str, Tensor]


class WorldModel(nn.Module):
    """DreamerV3's world model over embeddings or frames.

    A frozen representation is read through one trained linear map of its symlog and reconstructed as its symlog
    (arXiv 2411.10175); frames go through a small CNN and are reconstructed at 16 x 16.

    Attributes:
        config: sizes.
        feature_dim: F = deter + S * K, what the heads read.
    """

    bins: Tensor  # float32 [255]

    def __init__(self, config: ModelConfig) -> None:
        super().__init__()
        self.config = config
        self.feature_dim = config.deter + config.stoch * config.classes
        shape, units = config.observation_shape, config.units
        if config.kind == "vector":
            embed_dim = config.hidden
            self.encoder: nn.Module = linear(shape[0], embed_dim)
            self.decoder: nn.Module = mlp(self.feature_dim, units, 2, shape[0])
        else:
            frames = FrameEncoder(*shape[:2])
            self.encoder, embed_dim = frames, frames.dim
            self.decoder = FrameDecoder(self.feature_dim)
        self.rssm = RSSM(config, embed_dim)
        self.reward_head = mlp(self.feature_dim, units, 1, len(reward_bins()), scale=0.0)
        self.continue_head = mlp(self.feature_dim, units, 1, 1)
        self.register_buffer("bins", reward_bins(), persistent=False)
        if config.kind == "vector":
            self.register_buffer("mean", torch.zeros(shape))
            self.register_buffer("std", torch.ones(shape))

    def initial(self, batch: int) -> State:
        """The state before an episode's first row: zeros, [batch, ...]."""
        return self.rssm.initial(batch)

    def embed(self, observation: Tensor) -> Tensor:
        """[..., *observation_shape] -> float [..., E]."""
        return self.encoder(self._target(observation) if self.config.kind == "vector" else observation)

    def standardise(self, rows: Tensor) -> None:
        """Fix the mean and standard deviation that vectors are standardised with, from training rows [n, D]."""
        values = rows.double()
        self.mean.copy_(values.mean(0))
        std = values.std(0)
        self.std.copy_(std.clamp(min=1e-2 * float(std.max())))

    def _target(self, observation: Tensor) -> Tensor:
        return symlog((observation.float() - self.mean) / self.std)

    def observe(
        self, embed: Tensor, action: Tensor, is_first: Tensor, state: State | None = None, sample: bool = True
    ) -> Posterior:
        """Filter windows [B, L]; without a state before them, every window's first row counts as an episode's first.

        Args:
            embed: float [B, L, E].
            action: float [B, L, A], led to each row.
            is_first: bool [B, L].
            state: before the first row, [B, ...].
            sample: latents are samples (torch's generator of the device), or the most probable classes.
        """
        return self.rssm.observe(embed, action, is_first, state or self.initial(len(embed)), sample)

    def observe_step(self, state: State, observation: Tensor, action: Tensor, is_first: Tensor, sample: bool = True) -> State:
        """Take in one row: state [B, ...], observation [B, ...], the action [B, A] that led to it, is_first bool [B]."""
        return self.rssm.observe_step(state, self.embed(observation), action, is_first, sample)

    def imagine_step(self, state: State, action: Tensor, sample: bool = True) -> State:
        """One step without observation: state [B, ...], action [B, A] -> state [B, ...]."""
        return self.rssm.imagine_step(state, action, sample)

    def feature(self, state: State) -> Tensor:
        """[..., F], deterministic part first."""
        return torch.cat([state.deter, state.stoch.flatten(-2)], -1)

    def reward(self, feature: Tensor) -> Tensor:
        """Expected reward [...] of features [..., F]."""
        return two_hot_mean(self.reward_head(feature), self.bins)

    def continuation(self, feature: Tensor) -> Tensor:
        """Probability [...] that the episode goes on, of features [..., F]."""
        return torch.sigmoid(self.continue_head(feature)).squeeze(-1)

    def loss(self, batch: Batch) -> tuple[Tensor, State, Metrics]:
        """Loss of equation 4, averaged over rows.

        Returns:
            Scalar; posterior states [B, L, ...] with their gradient graph; detached scalars by name, still on the device.
        """
        posterior = self.observe(self.embed(batch.observation), batch.action, batch.is_first)
        feature = self.feature(posterior.states)
        scales = self.config.loss
        goes_on = (~batch.is_terminal).to(feature.dtype)
        dynamics, representation = balanced_kl(posterior.post_logits, posterior.prior_logits, scales.free_nats)
        terms = {
            "prediction": (self._prediction_loss(feature, batch.observation), scales.prediction),
            "reward": (two_hot_loss(self.reward_head(feature), batch.reward, self.bins).mean(), scales.reward),
            "continue": (F.binary_cross_entropy_with_logits(self.continue_head(feature).squeeze(-1), goes_on), scales.continue_),
            "dynamics": (dynamics.mean(), scales.dynamics),
            "representation": (representation.mean(), scales.representation),
        }
        total = torch.stack([value * scale for value, scale in terms.values()]).sum()
        metrics = {f"{name}_loss": value.detach() for name, (value, _) in terms.items()}
        return total, posterior.states, metrics | {"loss": total.detach()}

    def _prediction_loss(self, feature: Tensor, observation: Tensor) -> Tensor:
        """Squared error of the reconstruction, summed over an observation's elements, averaged over rows."""
        features, observations = feature.flatten(0, 1), observation.flatten(0, 1)
        if self.config.kind == "vector":
            return (self.decoder(features) - self._target(observations)).square().sum(-1).mean()
        area = observations.shape[1] * observations.shape[2] / 256
        return (self.decoder(features) - reconstruction_target(observations)).square().sum((1, 2, 3)).mean() * area
