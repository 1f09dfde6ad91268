"""The world model: adapter or CNN, RSSM, and the heads that read its state."""

import math
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from trainers.models import Group, Loss, Metrics, read_rows
from trainers.processes import gathered
from trainers.quantiles import binned_quantiles
from trainers.worldmodel.alignment import barlow, infonce
from trainers.worldmodel.config import ModelConfig
from trainers.worldmodel.layers import linear, mlp
from trainers.worldmodel.losses import BINS, balanced_kl, categorical_kl, reward_bins, two_hot_loss, two_hot_mean
from trainers.worldmodel.observation import OBSERVATIONS, FrameReconstruction
from trainers.worldmodel.rssm import RSSM
from trainers.worldmodel.types import Batch, Noise, Posterior, State


class WorldModel(nn.Module):
    """DreamerV3's world model over embeddings or frames.

    Attributes:
        config: sizes.
        observation: how what is observed is read and reconstructed.
        reconstruction: of the frames, where latents of vectors must reconstruct those instead; else None.
        feature_dim: F = deter + S * K, what the heads read.
        projector: of features to what was observed, for the losses that compare the two; None without such a loss.
    """

    bins: Tensor  # float32 [255]

    def __init__(self, config: ModelConfig) -> None:
        super().__init__()
        self.config = config
        self.feature_dim = config.deter + config.stoch * config.classes
        self.observation = OBSERVATIONS[config.kind](config, self.feature_dim)
        self.reconstruction = FrameReconstruction(self.feature_dim) if config.needs_frames else None
        self.rssm = RSSM(config, self.observation.dim)
        self.reward_head = mlp(self.feature_dim, config.units, 1, BINS, scale=0.0)
        self.continue_head = mlp(self.feature_dim, config.units, 1, 1)
        aligned = config.loss.infonce > 0 or config.loss.barlow > 0
        self.projector = linear(self.feature_dim, self.observation.target_dim, bias=False) if aligned else None
        self.register_buffer("bins", reward_bins(), persistent=False)

    def initial(self, batch: int) -> State:
        """The state before an episode's first row: zeros, [batch, ...]."""
        return self.rssm.initial(batch)

    def embed(self, observation: Tensor) -> Tensor:
        """[..., *observation_shape] -> float [..., E]."""
        return self.observation.embed(self.observation.prepare(observation))

    @property
    def limits(self) -> dict[str, float]:
        """Metrics whose mean stays below a value in any model that learns.

        Above S ln K nats a prior is worse than a uniform one; the mixture in it keeps the divergence finite, and so unseen.
        """
        return {"dynamics_loss": self.config.loss.free_nats + self.config.stoch * math.log(self.config.classes)}

    def standardise(self, rows: Tensor, frames: Tensor | None = None) -> None:
        """Fix, before training, what observations are standardised with, from training rows (see `models.Trainable`)."""
        self.observation.standardise(rows)
        if self.reconstruction is not None:
            self.reconstruction.standardise(frames)

    def draw(self, windows: int, length: int, generator: torch.Generator | None = None) -> Noise:
        """What `observe` samples with, of windows [B, L]."""
        return Noise(self.rssm.draw(length, windows, generator))

    def observe(
        self, embed: Tensor, action: Tensor, is_first: Tensor, state: State | None = None, sample: bool = True,
        noise: Noise | None = None,
    ) -> Posterior:  # fmt: skip
        """Filter windows [B, L].

        Where `is_first`, and in a window's first row if no state is given, the state and the action before are zeroed.

        Args:
            embed: float [B, L, E].
            action: float [B, L, A], led to each row.
            is_first: bool [B, L].
            state: before the first row, [B, ...].
            sample: latents are samples, or the most probable classes.
            noise: to sample with; drawn here (torch's generator of the device) where none is given.
        """
        if state is None:
            is_first = torch.cat([torch.ones_like(is_first[:, :1]), is_first[:, 1:]], 1)
            state = self.initial(len(embed))
        if sample and noise is None:
            noise = self.draw(*is_first.shape)
        return self.rssm.observe(embed, action, is_first, state, noise.latents if sample and noise is not None else None)

    def observe_step(self, state: State, observation: Tensor, action: Tensor, is_first: Tensor, sample: bool = True) -> State:
        """Take in one row: state [B, ...], observation [B, ...], the action [B, A] that led to it, is_first bool [B]."""
        return self.rssm.observe_step(state, self.embed(observation), action, is_first, sample)

    def filter(self, observation: Tensor, index: Tensor, action: Tensor, is_first: Tensor) -> State:
        """States [B, L, ...] of whole episodes under the most probable latents (see `models.Predictor`)."""
        return self.filter_with_kl(observation, index, action, is_first)[0]

    def filter_with_kl(self, observation: Tensor, index: Tensor, action: Tensor, is_first: Tensor) -> tuple[State, Tensor]:
        """`filter`, and KL(posterior || prior) [B, L] of each row's latent, in nats: the error of one predicted step."""
        embed = read_rows(self.embed, observation, index.flatten()).unflatten(0, index.shape)
        posterior = self.observe(embed, action, is_first, sample=False)
        return posterior.states, categorical_kl(posterior.post_logits, posterior.prior_logits)

    def imagine_step(self, state: State, action: Tensor, sample: bool = True) -> State:
        """One step without observation: state [B, ...], action [B, A] -> state [B, ...]."""
        return self.rssm.imagine_step(state, action, sample)

    def feature(self, state: State) -> Tensor:
        """[..., F], deterministic part first."""
        return torch.cat([state.deter, state.stoch.flatten(-2)], -1)

    def reward(self, feature: Tensor) -> Tensor:
        """Expected reward [...] of features [..., F]."""
        return two_hot_mean(self.reward_head(feature), self.bins)

    def expected_reward(self, state: State) -> Tensor:
        """Expected reward [...] of states [..., *]."""
        return self.reward(self.feature(state))

    def reward_quantiles(self, state: State, levels: Tensor) -> Tensor:
        """Quantiles [..., Q] of the reward of states [..., *] at levels [Q]: of the head's distribution, not the latents'."""
        return binned_quantiles(torch.softmax(self.reward_head(self.feature(state)), -1), self.bins, levels)

    def latent_error(self, imagined: State, encoded: State) -> None:
        """None: latents are random; `filter_with_kl` compares their distributions."""

    def continuation(self, feature: Tensor) -> Tensor:
        """Probability [...] that the episode goes on, of features [..., F]."""
        return torch.sigmoid(self.continue_head(feature)).squeeze(-1)

    def groups(self) -> dict[str, list[Group]]:
        """One optimiser for all."""
        return {"model": [Group(list(self.parameters()))]}

    def minimised(self, of: str, batch: Batch, noise: Noise | None, carried: Any) -> Loss:
        """The one loss of an offline update."""
        loss, _, metrics = self.loss(batch, noise)
        return Loss(loss, metrics)

    def settle(self) -> None:
        """Nothing follows an update."""

    def loss(self, batch: Batch, noise: Noise | None = None, state: State | None = None) -> tuple[Tensor, State, Metrics]:
        """Loss of equation 4, averaged over rows, and the representation losses that have a weight.

        Args:
            batch: windows [B, L, ...].
            noise, state: see `observe`.

        Returns:
            Scalar; posterior states [B, L, ...] with their gradient graph; detached scalars by name, still on the device.
        """
        prepared = self.observation.prepare(batch.observation)
        embed = self.observation.embed(prepared)
        posterior = self.observe(embed, batch.action, batch.is_first, state, noise=noise)
        feature = self.feature(posterior.states)
        scales = self.config.loss
        goes_on = (~batch.is_terminal).to(feature.dtype)
        continues = self.continue_head(feature).squeeze(-1)
        dynamics, representation = balanced_kl(posterior.post_logits, posterior.prior_logits, scales.free_nats)
        terms: dict[str, tuple[Tensor, float]] = {}
        error = self.observation.error(feature, prepared)
        if self.reconstruction is not None:
            error = self.reconstruction.error(feature, batch.frames)
        if error is not None:
            terms["prediction"] = error.mean(), scales.prediction
        terms |= {
            "reward": (two_hot_loss(self.reward_head(feature).to(feature), batch.reward, self.bins).mean(), scales.reward),
            "continue": (F.binary_cross_entropy_with_logits(continues.to(feature), goes_on), scales.continue_),
            "dynamics": (dynamics.mean(), scales.dynamics),
            "representation": (representation.mean(), scales.representation),
        }
        if self.projector is not None:
            sides = self.projector(feature), self.observation.target(prepared, embed).detach()
            pair = [gathered(side.to(feature).flatten(0, 1)) for side in sides]
            alignments = {"infonce": (infonce, scales.infonce), "barlow": (barlow, scales.barlow)}
            terms |= {name: (loss(*pair), scale) for name, (loss, scale) in alignments.items() if scale}
        total = torch.stack([value * scale for value, scale in terms.values()]).sum()
        metrics = {f"{name}_loss": value.detach() for name, (value, _) in terms.items()}
        return total, posterior.states, metrics | {"loss": total.detach()}
