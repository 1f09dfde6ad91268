"""Acting by planning: model-predictive path integral control (MPPI) in the latent space (arXiv 2310.16828, section 3.2).

As upstream's `TDMPC2._plan`: sampled sequences of actions beside the policy's, the best of them averaged by how good they are,
six times over; warm-started from the last plan; beyond the horizon the Q functions say what is to come. Several environments
plan at once. Written over functions, so that it can be checked on a system whose optimum is known.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import NamedTuple

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from trainers.tdmpc2.maths import regression_mean
from trainers.tdmpc2.model import TDMPC2

Step = Callable[[Tensor, Tensor], Tensor]  # states [*n, Z], actions [*n, A] -> [*n, Z] or [*n]


@dataclass(frozen=True)
class PlanSettings:
    """Upstream's numbers (`config.yaml`).

    Attributes:
        horizon: actions of a plan, H.
        samples: sequences tried in an iteration, those of the policy among them, N.
        elites: the best, which the next iteration is drawn from.
        from_policy: sequences that the policy proposes.
        temperature: of the elites' weights, exp(temperature * value).
        min_std, max_std: of the sampling distribution, in actions' units, where 1 is the largest action.
    """

    horizon: int = 3
    iterations: int = 6
    samples: int = 512
    elites: int = 64
    from_policy: int = 24
    temperature: float = 0.5
    min_std: float = 0.05
    max_std: float = 2.0


class Planned(NamedTuple):
    """What a plan ends in.

    Attributes:
        action: [B, A], to be taken now.
        mean: [H, B, A], that the next plan starts from, one step on.
    """

    action: Tensor
    mean: Tensor


class Planner:
    """Plans by a model that is given as functions.

    Args:
        reward: of a transition; [*n]. onward: the state it leads to; [*n, Z].
        policy: states [*n, Z] -> a sampled action [*n, A]. value: of a state and the action taken there, [*n].
        discount: per agent step.
    """

    def __init__(
        self, reward: Step, onward: Step, policy: Callable[[Tensor], Tensor], value: Step, discount: float, settings: PlanSettings
    ) -> None:
        self._reward, self._onward, self._policy, self._value = reward, onward, policy, value
        self._discount, self._settings = discount, settings

    @torch.no_grad()
    def plan(
        self,
        state: Float[Tensor, "B Z"],
        last: Float[Tensor, "H B A"],
        first: Bool[Tensor, " B"],
        generator: torch.Generator | None = None,
        explore: bool = False,
    ) -> Planned:
        """One action for each of B environments.

        Args:
            last: the mean of the plan before, moved on by one step where the episode goes on.
            first: whether an episode begins there, so that nothing is known of it.
            generator: of the noise.
            explore: whether noise of the plan's own width is added.
        """
        s = self._settings
        horizon, batch, size = last.shape
        mean = torch.zeros_like(last)
        mean[:-1] = last[1:] * (~first)[:, None]
        std = torch.full_like(mean, s.max_std)
        actions = mean.new_empty(horizon, batch, s.samples, size)
        if s.from_policy:
            actions[:, :, : s.from_policy] = self._proposed(state, horizon)
        states = state.unsqueeze(1).expand(batch, s.samples, -1)
        best, weight = actions[:, :, : s.elites], state.new_full((batch, s.elites), 1 / s.elites)
        for _ in range(s.iterations):
            noise = torch.randn(horizon, batch, s.samples - s.from_policy, size, device=state.device, generator=generator)
            actions[:, :, s.from_policy :] = (mean.unsqueeze(2) + std.unsqueeze(2) * noise).clamp_(-1, 1)
            value = self._worth(states, actions).nan_to_num_(0)
            top, chosen = value.topk(s.elites, 1)  # (B, E)
            best = actions.gather(2, chosen[None, :, :, None].expand(horizon, -1, -1, size))
            weight = torch.softmax(s.temperature * top, 1)
            mean = (weight[..., None] * best).sum(2)
            std = (weight[..., None] * (best - mean.unsqueeze(2)).square()).sum(2).sqrt_().clamp_(s.min_std, s.max_std)
        drawn = torch.multinomial(weight, 1, generator=generator)  # (B, 1)
        action = best[0].gather(1, drawn[..., None].expand(-1, -1, size)).squeeze(1)
        if explore:
            action = action + std[0] * torch.randn(action.shape, device=state.device, generator=generator)
        return Planned(action.clamp(-1, 1), mean)

    def _proposed(self, state: Tensor, horizon: int) -> Tensor:
        """The policy's own sequences [H, B, P, A]."""
        states = state.unsqueeze(1).expand(len(state), self._settings.from_policy, -1)
        made = []
        for step in range(horizon):
            made.append(self._policy(states))
            if step < horizon - 1:
                states = self._onward(states, made[-1])
        return torch.stack(made)

    def _worth(self, states: Tensor, actions: Tensor) -> Tensor:
        """Discounted rewards of sequences [H, B, N, A] from states [B, N, Z], and the value of where they end: [B, N]."""
        total, factor = torch.zeros(actions.shape[1:3], device=states.device), 1.0
        for action in actions:
            total += factor * self._reward(states, action)
            states = self._onward(states, action)
            factor *= self._discount
        return total + factor * self._value(states, self._policy(states))


def planner_of(model: TDMPC2, discount: float, settings: PlanSettings, generator: torch.Generator | None = None) -> Planner:
    """Plans in a model's latents; the value is the mean of two of its Q functions, drawn anew each time (upstream: "avg").

    Args:
        generator: of the policy's noise and of which two.
    """
    device = model.scale.device

    def reward(latent: Tensor, action: Tensor) -> Tensor:
        return regression_mean(model.reward_logits(latent, action), model.bins)

    def proposed(latent: Tensor) -> Tensor:
        noise = torch.randn(*latent.shape[:-1], model.config.action_dim, device=device, generator=generator)
        made: Tensor = model.policy(latent, noise).action
        return made

    def value(latent: Tensor, action: Tensor) -> Tensor:
        pair = torch.randperm(model.config.settings.sizes.q, device=device, generator=generator)[:2]
        return regression_mean(model.some_value_logits(latent, action, pair), model.bins).mean(0)

    return Planner(reward, model.next, proposed, value, discount, settings)
