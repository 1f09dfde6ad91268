"""The world model: encoder, latent dynamics, and the heads that read a latent and an action."""

import copy
from typing import Any, NamedTuple

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn
from torch.func import functional_call

from trainers.models import ROWS_AT_ONCE, Group, Loss, read_rows
from trainers.quantiles import binned_quantiles
from trainers.tdmpc2.config import BINS, POLICY_EPS, TAU, Config
from trainers.tdmpc2.encoder import ENCODERS
from trainers.tdmpc2.ensemble import Ensemble
from trainers.tdmpc2.layers import NormedLinear, SimNorm, linear, mlp, zeroed
from trainers.tdmpc2.losses import model_loss, policy_loss
from trainers.tdmpc2.maths import bins, history, regression_mean
from trainers.tdmpc2.noise import Noise, draw
from trainers.tdmpc2.policy import Policy
from trainers.worldmodel.losses import symexp
from trainers.worldmodel.types import Batch


class State(NamedTuple):
    """A row's latent, and the transition that led to it, from which alone the row's reward is read.

    Attributes:
        latent: float [..., Z], groups of 8 that sum to one.
        before: float [..., Z], the latent one row earlier.
        action: float [..., A], what led from there to here.
    """

    latent: Tensor
    before: Tensor
    action: Tensor


class TDMPC2(nn.Module):
    """TD-MPC2's world model over the last K embeddings or frames (paper, section 3; upstream `common/world_model.py`).

    Its reward is that of a transition, R(z[t-1], a[t]): reward[t] is predicted from the observations up to t - 1 and the action
    that led to t; no head reads what row t shows. Hence filtering (horizon 0) and one step open loop (horizon 1) are the same
    prediction, R(encoded z[t-1], a[t]). Horizon h imagines h transitions from the encoded z[t-h], the last of which ends in the
    reward: it sees the observations and actions that DreamerV3 sees at horizon h; only in filtering that one also sees row t.

    Single-task, and without the termination head that upstream adds to tasks that end early (`episodic`): a terminal row ends
    the TD target.
    """

    bins: Tensor  # float32 [N]
    scale: Tensor  # float32 [], running spread of the values, which the policy's loss is divided by

    def __init__(self, config: Config) -> None:
        super().__init__()
        self.config = config
        sizes, inputs = config.settings.sizes, config.settings.sizes.latent + config.action_dim
        self.encoder = ENCODERS[config.kind](config)
        self.dynamics = mlp(inputs, sizes.mlp, 2, NormedLinear(sizes.mlp, sizes.latent, SimNorm()))
        self.reward = mlp(inputs, sizes.mlp, 2, zeroed(linear(sizes.mlp, BINS)))
        self.policy = Policy(config)
        self.q = Ensemble(sizes.q, inputs, sizes.mlp, BINS)
        self.target = copy.deepcopy(self.q).requires_grad_(False)
        self.register_buffer("bins", bins(), persistent=False)
        self.register_buffer("scale", torch.ones(()))

    @property
    def limits(self) -> dict[str, float]:
        """None but that metrics are finite."""
        return {}

    def standardise(self, rows: Tensor, frames: Tensor | None = None) -> None:
        """Fix, before training, what observations are standardised with, from training rows [n, *observation_shape]."""
        self.encoder.standardise(rows)

    def encode(self, observation: Tensor, moves: Tensor | None = None) -> Tensor:
        """The last K rows, oldest first, [..., K, *observation_shape] -> latents [..., Z]; frames moved by `moves` [..., 2]."""
        latent: Tensor = self.encoder(observation, moves)
        return latent

    def next(self, latent: Float[Tensor, "*n Z"], action: Float[Tensor, "*n A"]) -> Float[Tensor, "*n Z"]:
        """[..., Z], [..., A] -> [..., Z]."""
        made: Tensor = self.dynamics(torch.cat([latent, bounded(action)], -1))
        return made

    def reward_logits(self, latent: Float[Tensor, "*n Z"], action: Float[Tensor, "*n A"]) -> Float[Tensor, "*n N"]:
        """[..., Z], [..., A] -> [..., N]."""
        made: Tensor = self.reward(torch.cat([latent, bounded(action)], -1))
        return made

    def value_logits(
        self, latent: Float[Tensor, "*n Z"], action: Float[Tensor, "*n A"], kept: Float[Tensor, "Q *n mlp"] | None = None
    ) -> Float[Tensor, "Q *n N"]:
        """[..., Z], [..., A] -> [Q, ..., N]; `kept` [Q, ..., mlp] drops units (`Noise`)."""
        made: Tensor = self.q(torch.cat([latent, bounded(action)], -1), kept)
        return made

    def some_value_logits(
        self, latent: Float[Tensor, "*n Z"], action: Float[Tensor, "*n A"], of: Int[Tensor, " members"]
    ) -> Float[Tensor, "members *n N"]:
        """What the members `of` say, [..., Z], [..., A] -> [members, ..., N]."""
        return self.q.some(torch.cat([latent, bounded(action)], -1), of)

    def two_values(
        self,
        latent: Float[Tensor, "*n Z"],
        action: Float[Tensor, "*n A"],
        pair: Int[Tensor, "2"],
        kept: Float[Tensor, "Q *n mlp"] | None = None,
    ) -> Float[Tensor, "2 *n"]:
        """What two members say, [..., Z], [..., A] -> [2, ...]: the target's; with units dropped, the Q functions' held constant.

        Args:
            pair: int64 [2], which. kept: [Q, ..., mlp], see `value_logits`.
        """
        inputs = torch.cat([latent, bounded(action)], -1)
        held = {name: value.detach() for name, value in self.q.named_parameters()}
        logits = self.target(inputs) if kept is None else functional_call(self.q, held, (inputs, kept))
        return regression_mean(logits[pair], self.bins)

    def groups(self) -> dict[str, list[Group]]:
        """The encoder learns slower than the rest (`encoder_rate`); the policy has an optimiser of its own."""
        rest = [*self.dynamics.parameters(), *self.reward.parameters(), *self.q.parameters()]
        encoder = Group(list(self.encoder.parameters()), self.config.settings.encoder_rate)
        return {"model": [encoder, Group(rest)], "policy": [Group(list(self.policy.parameters()), eps=POLICY_EPS)]}

    def draw(self, windows: int, length: int, generator: torch.Generator | None = None) -> Noise:
        """All that is random in an update on windows [B, L]."""
        return draw(self.config, windows, length, self.scale.device, generator)

    def minimised(self, of: str, batch: Batch, noise: Noise, carried: Any) -> Loss:
        """The model's, then the policy's on the model's latents."""
        if of == "model":
            loss, latents, metrics = model_loss(self, batch, noise)
            return Loss(loss, metrics, latents)
        return Loss(*policy_loss(self, carried, noise))

    @torch.no_grad()
    def settle(self) -> None:
        """The target follows the Q functions."""
        for slow, own in zip(self.target.parameters(), self.q.parameters(), strict=True):
            slow.add_(own - slow, alpha=TAU)

    def filter(self, observation: Tensor, index: Tensor, action: Tensor, is_first: Tensor) -> State:
        """States [B, L, ...] of whole episodes; the first row's has no transition behind it (see `models.Predictor`)."""
        frames = self.config.settings.frames
        positions = history(is_first, frames)  # (B, L, K)
        rows = index.gather(1, positions.flatten(1)).view(-1, frames)
        latent = read_rows(self.encode, observation, rows, max(ROWS_AT_ONCE // frames, 1)).unflatten(0, index.shape)
        return State(latent, torch.cat([latent[:, :1], latent[:, :-1]], 1), action)

    def filter_with_kl(self, observation: Tensor, index: Tensor, action: Tensor, is_first: Tensor) -> tuple[State, None]:
        """`filter`, and None: no latent is random."""
        return self.filter(observation, index, action, is_first), None

    def imagine_step(self, state: State, action: Tensor, sample: bool = False) -> State:
        """One step without observation: state [n, ...], action [n, A] -> state [n, ...]; nothing in it is random."""
        return State(self.next(state.latent, action), state.latent, action)

    def expected_reward(self, state: State) -> Float[Tensor, "..."]:
        """[...], of the transition into states [..., *]."""
        return regression_mean(self.reward_logits(state.before, state.action), self.bins)

    def reward_quantiles(self, state: State, levels: Tensor) -> Tensor:
        """Quantiles [..., Q] at levels [Q], of the transition into states [..., *]; the bins lie in symlog, so symexp follows."""
        probs = torch.softmax(self.reward_logits(state.before, state.action), -1)
        return symexp(binned_quantiles(probs, self.bins, levels))

    def latent_error(self, imagined: State, encoded: State) -> Tensor:
        """Mean squared error [...] of latents."""
        return (imagined.latent - encoded.latent).square().mean(-1)

    def feature(self, state: State) -> Tensor:
        """[..., Z]."""
        return state.latent


def bounded(action: Float[Tensor, "*n A"]) -> Float[Tensor, "*n A"]:
    """Actions [..., A]; larger ones are scaled to 1, as DreamerV3's model does (upstream has no others)."""
    return action / action.detach().abs().clamp(min=1)
