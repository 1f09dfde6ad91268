"""Acting: whole episodes in environments stepped in lockstep, with one batched policy call a step."""

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from trainers.agent.agent import Agent, Diverged
from trainers.agent.episodes import Episode
from trainers.protocols import Environments, Observation, ObservationEncoder
from trainers.update import Split

Film = list[NDArray[np.uint8]]


class Player:
    """Has an agent, as it stands at each step, act on what the encoder makes of what each environment shows."""

    def __init__(self, envs: Environments, encoder: ObservationEncoder, agent: Agent, split: Split) -> None:
        """
        Args:
            envs, encoder, agent: see there.
            split: where time is counted, as `environments`, `encoder` and `policy`.
        """
        self.envs, self.encoder, self.agent, self.split = envs, encoder, agent, split

    def play(self, seeds: Sequence[int], explore: bool) -> "Play":
        """One episode per seed of the environments' resets, all in lockstep; at most as many as there are environments."""
        return Play(self, seeds, explore)

    def evaluate(self, seeds: Sequence[int], film: Film | None = None) -> list[float]:
        """The return of one episode per seed of the agent acting as well as it can.

        Args:
            film: takes the images of the first episode, where environments show any.

        Raises:
            Diverged: an action is not finite.
        """
        returns: list[float] = []
        for first in range(0, len(seeds), len(self.envs)):
            play = self.play(seeds[first : first + len(self.envs)], explore=False)
            for _ in play:
                if film is not None and not returns:
                    film.append(play.observations[0]["image"])
            returns += [episode.total for episode in play.episodes]
        return returns

    def tensor(self, values: NDArray[Any]) -> torch.Tensor:
        """On the agent's device."""
        return torch.as_tensor(values, device=self.agent.device)


class Play:
    """One round of episodes. Iterating steps the environments and gives the number of agent steps each time.

    Attributes:
        episodes: one for each seed, in their order, complete once iteration has ended.
        observations: the last of each environment.
    """

    def __init__(self, player: Player, seeds: Sequence[int], explore: bool) -> None:
        self._player, self._seeds, self._explore = player, seeds, explore
        self.episodes: list[Episode] = []
        self.observations: list[Observation] = []

    def __iter__(self) -> Iterator[int]:
        """
        Raises:
            Diverged: an action is not finite.
        """
        player, envs, split, count = self._player, self._player.envs, self._player.split, len(self._seeds)
        with split.on("environments"):
            observations = self.observations = envs.reset(self._seeds)
        memory = player.agent.begin(count, self._explore)
        action = np.zeros((count, len(envs.action_low)), np.float32)  # [B, A]
        reward, first = np.zeros(count, np.float32), np.ones(count, bool)
        terminal, going = np.zeros(count, bool), np.ones(count, bool)
        with split.on("encoder"):
            seen = player.encoder(observations)  # [B, *shape]
        rows = [[_row(i, seen, action, reward, first, terminal, *self._frames(observations))] for i in range(count)]
        while going.any():
            with split.on("policy"):
                observation, led, is_first = (player.tensor(values) for values in (seen, action, first))
                chosen, memory = player.agent.act(memory, observation, led, is_first, self._explore)
                action = chosen.cpu().numpy()
            if not np.isfinite(action).all():
                raise Diverged("the policy's action is not finite")
            stepped = np.flatnonzero(going).tolist()
            reward, first = np.zeros_like(reward), np.zeros_like(first)
            with split.on("environments"):
                steps = envs.step(stepped, action[stepped])
            for i, step in zip(stepped, steps, strict=True):
                observations[i], reward[i], terminal[i], truncated = step
                going[i] = not (terminal[i] or truncated)
            with split.on("encoder"):
                seen = player.encoder(observations)
            frames = self._frames(observations)
            for i in stepped:
                rows[i].append(_row(i, seen, action, reward, first, terminal, *frames))
            yield len(stepped)
        self.episodes = [_joined(episode) for episode in rows]

    def _frames(self, observations: Sequence[Observation]) -> list[NDArray[np.uint8]]:
        """What the agent is to learn to reconstruct beside what it reads: [B, H, W, 3], or nothing."""
        kept = self._explore and self._player.agent.keeps_frames
        return [np.stack([observation["image"] for observation in observations])] if kept else []


def _joined(rows: Sequence[Episode]) -> Episode:
    return Episode._make(None if values[0] is None else np.stack(values) for values in zip(*rows, strict=True))


def _row(index: int, *arrays: NDArray[Any]) -> Episode:
    return Episode(*(values[index] for values in arrays))
