"""The predictor as a world model with rewards: trained on short windows, filtered over episodes, rolled out frame by frame."""

from typing import Any, NamedTuple

import torch
from jaxtyping import Float
from torch import Tensor, nn

from trainers.dinowm.config import Config
from trainers.dinowm.predictor import Predictor
from trainers.models import Group, Loss, Metrics, read_rows
from trainers.quantiles import binned_quantiles
from trainers.worldmodel.layers import mlp
from trainers.worldmodel.losses import BINS, reward_bins, two_hot_loss, two_hot_mean
from trainers.worldmodel.observation import standardisation
from trainers.worldmodel.types import Batch

_UNITS = 512  # of the reward head


class History(NamedTuple):
    """The frames that a prediction is made from, and what was predicted on arriving at the last of them.

    Attributes:
        tokens: float [..., H, P, D], standardised, the oldest first, filled from slot 0 on.
        actions: float [..., H, A], taken after each of them.
        filled: int64 [...], how many slots are filled.
        feature: float [..., width], what the reward of the last frame is read from; zeros in an episode's first row.
    """

    tokens: Tensor
    actions: Tensor
    filled: Tensor
    feature: Tensor


class Noise(NamedTuple):
    """None."""

    def share(self, rank: int, world: int) -> "Noise":
        return self


class DinoWm(nn.Module):
    """Predicts the next frame's tokens, and the reward that arrives with it, from the last H frames and the action.

    Attributes:
        config: sizes.
        feature_dim: of what the reward head reads.
    """

    bins: Tensor  # float32 [255]
    mean: Tensor  # float [D]
    std: Tensor  # float [D]

    def __init__(self, config: Config) -> None:
        super().__init__()
        self.config, self.feature_dim = config, config.width
        self.predictor = Predictor(config)
        self.action_in = nn.Linear(config.action_dim, config.settings.action_width)
        self.reward_head = mlp(config.width, _UNITS, 1, BINS, scale=0.0)
        channels = config.channels
        self.register_buffer("bins", reward_bins(), persistent=False)
        self.register_buffer("mean", torch.zeros(channels))
        self.register_buffer("std", torch.ones(channels))

    @property
    def limits(self) -> dict[str, float]:
        """None but that metrics are finite."""
        return {}

    def standardise(self, rows: Tensor, frames: Tensor | None = None) -> None:
        """Fix mean and standard deviation of every channel from training rows [n, *observation_shape].

        Upstream predicts DINOv2's normalised tokens as they are; encoders here differ in scale by orders of magnitude.
        """
        for own, found in zip((self.mean, self.std), standardisation(self._tokens(rows).flatten(0, -2)), strict=True):
            own.copy_(found)

    def embed(self, observation: Tensor) -> Tensor:
        """Stored values [..., *observation_shape] -> tokens, float [..., P, D], standardised."""
        return (self._tokens(observation).float() - self.mean) / self.std

    def _tokens(self, observation: Tensor) -> Tensor:
        """[..., P, D]: of one vector, of a grid of tokens, or of the squares that a frame is cut into."""
        if len(self.config.observation_shape) == 1:
            return observation.unsqueeze(-2)
        if (side := self.config.patch) is not None:
            cut = observation.unflatten(-2, (-1, side)).unflatten(-4, (-1, side))  # (..., h, side, w, side, 3)
            observation = cut.movedim(-4, -3).flatten(-3)
        return observation.flatten(-3, -2)

    def predict(
        self, tokens: Float[Tensor, "N h P D"], actions: Float[Tensor, "N h A"]
    ) -> tuple[Float[Tensor, "N h P D"], Float[Tensor, "N h width"]]:
        """What follows each of up to H frames.

        Args:
            tokens: float [N, h, P, D].
            actions: float [N, h, A], taken after each frame.

        Returns:
            The next frame's tokens [N, h, P, D]; features [N, h, width] of the reward that arrives with it.
        """
        action = self.action_in(actions).unsqueeze(2).expand(-1, -1, tokens.shape[2], -1)
        out = self.predictor(torch.cat([tokens, action], -1).flatten(1, 2)).unflatten(1, tokens.shape[1:3])
        return out[..., : tokens.shape[-1]], out.mean(2)

    def expected_reward(self, state: History) -> Tensor:
        """Predicted reward [...] of the last frames of histories [...]."""
        return two_hot_mean(self.reward_head(state.feature), self.bins)

    def reward_quantiles(self, state: History, levels: Tensor) -> Tensor:
        """Quantiles [..., Q] at levels [Q] of the reward of the last frames of histories [...]."""
        return binned_quantiles(torch.softmax(self.reward_head(state.feature), -1), self.bins, levels)

    def latent_error(self, imagined: History, encoded: History) -> Tensor:
        """Mean squared error [...] of the last frame's standardised tokens."""
        return (last_tokens(imagined) - last_tokens(encoded)).square().mean((-2, -1))

    def feature(self, state: History) -> Tensor:
        """[..., width]."""
        return state.feature

    def groups(self) -> dict[str, list[Group]]:
        """All parameters, by one optimiser."""
        return {"model": [Group(list(self.parameters()))]}

    def draw(self, windows: int, length: int, generator: torch.Generator | None = None) -> Noise:
        """Nothing is random."""
        return Noise()

    def minimised(self, of: str, batch: Batch, noise: Noise, carried: Any) -> Loss:
        """The one loss of an update."""
        return Loss(*self.loss(batch))

    def settle(self) -> None:
        """Nothing follows an update."""

    def loss(self, batch: Batch) -> tuple[Tensor, Metrics]:
        """Mean squared error of the next tokens and reward loss, every frame predicted from the up to H before it.

        Windows [B, L] are cut into pieces of H + 1 frames, upstream's `num_hist + num_pred`; rows left over are not used.

        Returns:
            Scalar; detached scalars by name, still on the device.
        """
        size = self.config.settings.frames + 1
        used = batch.reward.shape[1] // size * size

        def pieces(values: Tensor) -> Tensor:
            return values[:, :used].unflatten(1, (-1, size)).flatten(0, 1)

        tokens, actions, rewards = self.embed(pieces(batch.observation)), pieces(batch.action), pieces(batch.reward)
        following, feature = self.predict(tokens[:, :-1], actions[:, 1:])
        dynamics = (following - tokens[:, 1:]).square().mean()
        reward = two_hot_loss(self.reward_head(feature), rewards[:, 1:], self.bins).mean()
        total = dynamics + self.config.settings.reward * reward
        return total, {"prediction_loss": dynamics.detach(), "reward_loss": reward.detach(), "loss": total.detach()}

    def filter(self, observation: Tensor, index: Tensor, action: Tensor, is_first: Tensor) -> History:
        """Histories [B, L, ...] of whole episodes; see `trainers.models.Predictor`. Memory is H frames of tokens a row."""
        tokens = read_rows(self.embed, observation, index.flatten()).unflatten(0, index.shape)  # (B, L, P, D)
        frames, steps = self.config.settings.frames, torch.arange(index.shape[1], device=index.device)
        oldest = (steps - frames + 1).clamp(min=0)
        held = oldest[:, None] + torch.arange(frames, device=index.device)  # (L, H), the frame in each slot
        there = held <= steps[:, None]
        held = held.clamp(max=len(steps) - 1)
        after = (held + 1).clamp(max=len(steps) - 1)
        feature = tokens.new_zeros(*index.shape, self.config.width)
        for t in range(1, len(steps)):
            first = max(0, t - frames)
            feature[:, t] = self.predict(tokens[:, first:t], action[:, first + 1 : t + 1])[1][:, -1]
        filled = there.sum(1).expand(index.shape)
        return History(tokens[:, held] * there[:, :, None, None], action[:, after] * there[:, :, None], filled, feature)

    def filter_with_kl(self, observation: Tensor, index: Tensor, action: Tensor, is_first: Tensor) -> tuple[History, None]:
        """`filter`, and None: nothing is random."""
        return self.filter(observation, index, action, is_first), None

    def initial(self, tokens: Tensor) -> History:
        """The history of an episode's first frames, tokens [..., P, D]."""
        lead = tokens.shape[:-2]
        held = tokens.new_zeros(*lead, self.config.settings.frames, *tokens.shape[-2:])
        held[..., 0, :, :] = tokens
        actions = tokens.new_zeros(*lead, self.config.settings.frames, self.config.action_dim)
        count = torch.ones(lead, dtype=torch.int64, device=tokens.device)
        return History(held, actions, count, tokens.new_zeros(*lead, self.config.width))

    def step(self, state: History, action: Tensor) -> tuple[Tensor, History]:
        """The tokens [N, P, D] of the frame that `action` [N, A] leads to from histories [N, ...], and these with it taken."""
        last = state.filled - 1
        rows = torch.arange(len(last), device=last.device)
        actions = state.actions.clone()
        actions[rows, last] = action
        following, feature = self.predict(state.tokens, actions)
        return following[rows, last], state._replace(actions=actions, feature=feature[rows, last])

    def imagine_step(self, state: History, action: Tensor, sample: bool) -> History:
        """One step without observation; nothing is drawn, whatever `sample` says."""
        following, after = self.step(state, action)
        return pushed(after, following)

    def observe_step(self, state: History, tokens: Tensor, action: Tensor, is_first: Tensor) -> History:
        """Take in one row: its tokens [N, P, D], the action [N, A] that led to it; where `is_first` [N] a history begins anew."""
        _, after = self.step(state, action)
        seen, fresh = pushed(after, tokens), self.initial(tokens)
        return History(*(_where(is_first, new, old) for new, old in zip(fresh, seen, strict=True)))


def last_tokens(state: History) -> Tensor:
    """[..., P, D], of the last frame of histories [...]."""
    at = (state.filled - 1)[..., None, None, None]
    return torch.take_along_dim(state.tokens, at, -3).squeeze(-3)


def pushed(state: History, tokens: Tensor) -> History:
    """Histories [N, ...] with one more frame [N, P, D]; a full one loses its oldest."""
    frames = state.tokens.shape[1]
    full = state.filled == frames
    held, actions = (_where(full, values.roll(-1, 1), values).clone() for values in (state.tokens, state.actions))
    count = torch.where(full, state.filled, state.filled + 1)
    held[torch.arange(len(count), device=count.device), count - 1] = tokens
    return state._replace(tokens=held, actions=actions, filled=count)


def _where(chosen: Tensor, first: Tensor, second: Tensor) -> Tensor:
    """`first` [N, ...] in the rows that are `chosen` [N], `second` in the others."""
    return torch.where(chosen.view(-1, *[1] * (first.ndim - 1)), first, second)
