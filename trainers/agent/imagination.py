"""Trajectories the world model imagines under the actor, differentiable in the actions."""

from typing import NamedTuple

import torch
from torch import Tensor

from trainers.agent.actor import Actor
from trainers.worldmodel import State, WorldModel


class Imagined(NamedTuple):
    """N trajectories s_0 .. s_H.

    Attributes:
        feature: float32 [H + 1, N, F]; its gradient reaches the actor through the actions and the model's dynamics.
        entropy: float32 [H, N], of the policy in s_0 .. s_{H-1}.
        action: float32 [H, N, A], taken there, in the task's units.
    """

    feature: Tensor
    entropy: Tensor
    action: Tensor


def imagine(model: WorldModel, actor: Actor, start: State, horizon: int) -> Imagined:
    """Roll the model out for `horizon` steps from the states `start` ([N, ...]), sampling latents and actions.

    Samples are reparameterised (actions) or straight-through (latents). The actor reads features as constants, so that the
    policy is improved at each step for its own consequences (DreamerV2, arXiv 2010.02193, section 2.2, as upstream).
    """
    state, features, entropies, actions = start, [model.feature(start)], [], []
    for _ in range(horizon):
        policy = actor(features[-1].detach())
        actions.append(actor.to_task(policy.sample()))
        state = model.imagine_step(state, actions[-1])
        features.append(model.feature(state))
        entropies.append(policy.entropy())
    return Imagined(torch.stack(features), torch.stack(entropies), torch.stack(actions))


def last_states(states: State, count: int) -> State:
    """The last `count` of states [B, L, ...], as constants [B * count, ...]."""
    return State(*(part.detach()[:, -count:].flatten(0, 1) for part in states))
