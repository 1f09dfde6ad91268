"""Acting: whole episodes in environments stepped in lockstep, with one batched policy call a step."""

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from trainers.agent.actor import Actor
from trainers.agent.episodes import Episode
from trainers.protocols import Env, Observation, ObservationEncoder
from trainers.worldmodel import WorldModel


class Diverged(Exception):
    """A loss or an action is not finite."""


class Player:
    """Acts with the actor as it stands at each step, on the world model's posterior of what each environment has shown."""

    def __init__(self, envs: Sequence[Env], encoder: ObservationEncoder, model: WorldModel, actor: Actor) -> None:
        self.envs, self.encoder, self.model, self.actor = envs, encoder, model, actor

    def play(self, seeds: Sequence[int], explore: bool) -> "Play":
        """One episode per seed of the environments' resets, all in lockstep; at most as many as there are environments."""
        return Play(self, seeds, explore)

    def evaluate(self, seeds: Sequence[int]) -> list[float]:
        """The return of one episode per seed under the policy's mode.

        Raises:
            Diverged: an action is not finite.
        """
        returns: list[float] = []
        for first in range(0, len(seeds), len(self.envs)):
            play = self.play(seeds[first : first + len(self.envs)], explore=False)
            for _ in play:
                pass
            returns += [episode.total for episode in play.episodes]
        return returns

    def tensor(self, values: NDArray[Any]) -> torch.Tensor:
        """On the actor's device."""
        return torch.as_tensor(values, device=self.actor.low.device)


class Play:
    """One round of episodes. Iterating steps the environments and gives the number of agent steps each time.

    Attributes:
        episodes: one for each seed, in their order, complete once iteration has ended.
    """

    def __init__(self, player: Player, seeds: Sequence[int], explore: bool) -> None:
        self._player, self._seeds, self._explore = player, seeds, explore
        self.episodes: list[Episode] = []

    def __iter__(self) -> Iterator[int]:
        """
        Raises:
            Diverged: an action is not finite.
        """
        player, envs = self._player, self._player.envs[: len(self._seeds)]
        observations = [env.reset(seed=seed)[0] for env, seed in zip(envs, self._seeds, strict=True)]
        state = player.model.initial(len(envs))
        action = np.zeros((len(envs), len(envs[0].action_low)), np.float32)  # [B, A]
        reward, first = np.zeros(len(envs), np.float32), np.ones(len(envs), bool)
        terminal, going = np.zeros(len(envs), bool), np.ones(len(envs), bool)
        seen = player.encoder(observations)  # [B, *shape]
        rows = [[_row(i, seen, action, reward, first, terminal, *self._frames(observations))] for i in range(len(envs))]
        while going.any():
            with torch.no_grad():
                observation, led, is_first = (player.tensor(values) for values in (seen, action, first))
                state = player.model.observe_step(state, observation, led, is_first, sample=self._explore)
                policy = player.actor(player.model.feature(state))
                chosen = policy.sample() if self._explore else policy.mode
                action = player.actor.to_task(chosen).cpu().numpy()
            if not np.isfinite(action).all():
                raise Diverged("the policy's action is not finite")
            stepped = np.flatnonzero(going).tolist()
            reward, first = np.zeros_like(reward), np.zeros_like(first)
            for i in stepped:
                observations[i], reward[i], terminal[i], truncated, _ = envs[i].step(action[i])
                going[i] = not (terminal[i] or truncated)
            seen = player.encoder(observations)
            frames = self._frames(observations)
            for i in stepped:
                rows[i].append(_row(i, seen, action, reward, first, terminal, *frames))
            yield len(stepped)
        self.episodes = [_joined(episode) for episode in rows]

    def _frames(self, observations: Sequence[Observation]) -> list[NDArray[np.uint8]]:
        """What the world model is to learn to reconstruct beside what it reads: [B, H, W, 3], or nothing."""
        kept = self._explore and self._player.model.config.needs_frames
        return [np.stack([observation["image"] for observation in observations])] if kept else []


def _joined(rows: Sequence[Episode]) -> Episode:
    return Episode._make(None if values[0] is None else np.stack(values) for values in zip(*rows, strict=True))


def _row(index: int, *arrays: NDArray[Any]) -> Episode:
    return Episode(*(values[index] for values in arrays))
