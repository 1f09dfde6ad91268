"""Trajectories the world model imagines under the actor, from every state it inferred for a replayed batch."""

from typing import NamedTuple

import torch
from torch import Tensor

from trainers.agent.actor import Actor
from trainers.worldmodel import State, WorldModel


class Imagined(NamedTuple):
    """N trajectories s_0 .. s_H.

    Attributes:
        feature: float32 [H + 1, N, F].
        action: float32 [H, N, A], as sampled from the actor (before `Actor.to_task`); action[h] leads from s_h to s_{h+1}.
    """

    feature: Tensor
    action: Tensor


@torch.no_grad()
def imagine(model: WorldModel, actor: Actor, start: State, horizon: int) -> Imagined:
    """Roll the model out for `horizon` steps from the states `start` ([N, ...]), sampling latents and actions."""
    state, features, actions = start, [model.feature(start)], []
    for _ in range(horizon):
        action = actor(features[-1]).sample()  # [N, A]
        state = model.imagine_step(state, actor.to_task(action))
        features.append(model.feature(state))
        actions.append(action)
    return Imagined(torch.stack(features), torch.stack(actions))


def flatten(states: State) -> State:
    """States [B, L, ...] as constants [B * L, ...]."""
    return State(states.deter.detach().flatten(0, 1), states.stoch.detach().flatten(0, 1))
