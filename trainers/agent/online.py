"""The loop from an offline world model to an agent that learns online, and its control that never goes online.

First behaviour is learned in imagination, the world model as it came (the offline-only policy, evaluated at 0 steps).
Then the agent plays whole rounds of episodes; as it does, world model and behaviour are updated every
`train_every` agent steps on windows of the collected and the agent's own data. The control makes the same updates from the
collected data alone. After every block of work a checkpoint lets a killed run go on to the same bytes.
"""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, NamedTuple, Protocol

import numpy as np
import torch
from torch import Tensor, nn

from datasets.errors import UserError
from trainers.agent.behaviour import Behaviour
from trainers.agent.episodes import load_episodes, save_episodes
from trainers.agent.play import Diverged, Player
from trainers.agent.replay import Replay
from trainers.checkpoint import load_torch, save_torch
from trainers.worldmodel import WorldModel

CHECKPOINT = "checkpoint.pt"


@dataclass(frozen=True)
class OnlineConfig:
    """How long, how often.

    Attributes:
        offline_updates: behaviour updates before the first online step.
        env_steps: agent steps online, rounded up to whole rounds of episodes.
        train_every: agent steps per update of world model and behaviour.
        eval_every: agent steps between evaluations; there is one before the first step and one at the end.
        eval_episodes: episodes an evaluation, always with the same seeds.
        learning_rate: Adam's, of the world model.
        clip: largest gradient norm of the world model.
        checkpoint_every: updates between checkpoints while nothing is played.
        seed: of the environments' resets and of everything sampled.
        collects: False for the control, which stays with the collected data.
    """

    offline_updates: int
    env_steps: int
    train_every: int
    eval_every: int
    eval_episodes: int
    learning_rate: float
    clip: float
    checkpoint_every: int
    seed: int
    collects: bool

    @property
    def updates(self) -> int:
        """All updates of behaviour, the offline ones included."""
        return self.offline_updates + self.env_steps // self.train_every


class Evaluation(NamedTuple):
    """Returns of the deterministic policy, float [eval_episodes], after `env_steps` agent steps and `updates` updates."""

    env_steps: int
    updates: int
    returns: list[float]


class Track(Protocol):
    """Wraps an iterator in a progress display (`pipeline.log.track`)."""

    def __call__(self, items: Iterable[None], total: int, unit: str, desc: str, initial: int = 0) -> Iterable[None]: ...


@dataclass
class Progress:
    """How far a run has come; plain values, part of a checkpoint.

    Attributes:
        episodes: [env_steps at its end, return] of every training episode.
    """

    updates: int = 0
    env_steps: int = 0
    rounds: int = 0
    evaluations: list[Evaluation] = field(default_factory=list)
    episodes: list[tuple[int, float]] = field(default_factory=list)

    def to_plain(self) -> dict[str, Any]:
        """Numbers and lists."""
        return asdict(self) | {"evaluations": [list(e) for e in self.evaluations], "episodes": [list(e) for e in self.episodes]}

    @classmethod
    def from_plain(cls, values: dict[str, Any]) -> "Progress":
        """The inverse of `to_plain`."""
        evaluations = [Evaluation(*evaluation) for evaluation in values["evaluations"]]
        return cls(**values | {"evaluations": evaluations, "episodes": [(steps, total) for steps, total in values["episodes"]]})


class OnlineTrainer:
    """Runs one arm. The caller seeds torch's global generator before it makes the networks."""

    def __init__(
        self, config: OnlineConfig, model: WorldModel, behaviour: Behaviour, replay: Replay, player: Player, folder: Path,
        name: str, track: Track, log: Callable[[str], None],
    ) -> None:  # fmt: skip
        """
        Args:
            config: lengths and rates.
            model: the offline-trained world model, trained further.
            behaviour: actor and critic to be trained.
            replay: over the collected data.
            player: acts with `model` and `behaviour.actor`.
            folder: checkpoint and episodes; a run that finds them there goes on from them.
            name: in log lines and errors.
            track, log: progress display.
        """
        self.config, self.model, self.behaviour, self.replay, self.player = config, model, behaviour, replay, player
        self.progress = Progress()
        self._folder, self._name, self._track, self._log = folder, name, track, log
        self._model_optimiser = torch.optim.Adam(model.parameters(), lr=config.learning_rate, eps=1e-5)
        self._behaviour_optimiser = behaviour.make_optimiser()

    def run(self) -> Progress:
        """Train to the end.

        Raises:
            UserError: training diverged; names the last good checkpoint.
        """
        self._folder.mkdir(parents=True, exist_ok=True)
        if (self._folder / CHECKPOINT).is_file():
            self._load()
        try:
            for _ in self._track(self._work(), self.config.updates, "update", self._name, self.progress.updates):
                pass
        except Diverged as error:
            file = self._folder / CHECKPOINT
            good = f"the last good checkpoint is {file}" if file.is_file() else "no checkpoint was written before it"
            raise UserError(
                f"{self._name} diverged: {error} at update {self.progress.updates + 1}; {good}; "
                "lower finetune.learning_rate or finetune.world_model_learning_rate"
            ) from None
        return self.progress

    def agent_state(self) -> dict[str, Any]:
        """Weights of world model, actor and critic, and the world model's configuration."""
        return {
            "config": self.model.config.to_json(), "model": self.model.state_dict(), "behaviour": self.behaviour.state_dict()
        }  # fmt: skip

    def _work(self) -> Iterator[None]:
        """Do what is due, block by block, a checkpoint after each; yields after every update."""
        config, progress = self.config, self.progress
        while True:
            if progress.updates < config.offline_updates:
                yield from self._learn_until(config.offline_updates, train_model=False)
            elif self._evaluation_due():
                self._evaluate()
            elif config.collects and progress.env_steps < config.env_steps:
                yield from self._play_round()
            elif progress.updates < config.updates:
                yield from self._learn_until(config.updates, train_model=True)
            else:
                return
            self._save()

    def _evaluation_due(self) -> bool:
        config, progress = self.config, self.progress
        if not config.collects:
            return progress.updates == config.updates and not progress.evaluations
        if not progress.evaluations:
            return True
        last, now = progress.evaluations[-1].env_steps, progress.env_steps
        return now > last and (now // config.eval_every > last // config.eval_every or now >= config.env_steps)

    def _evaluate(self) -> None:
        seeds = [self._reset_seed(1, i) for i in range(self.config.eval_episodes)]
        returns = self.player.evaluate(seeds)
        self.progress.evaluations.append(Evaluation(self.progress.env_steps, self.progress.updates, returns))
        self._log(f"{self._name}: return {np.mean(returns):.0f} after {self.progress.env_steps} steps")

    def _reset_seed(self, purpose: int, index: int) -> int:
        return int(np.random.SeedSequence([self.config.seed, purpose, index]).generate_state(1)[0] >> 1)

    def _play_round(self) -> Iterator[None]:
        progress, envs = self.progress, len(self.player.envs)
        play = self.player.play([self._reset_seed(0, progress.rounds * envs + i) for i in range(envs)], explore=True)
        for steps in play:
            progress.env_steps += steps
            due = min(self.config.updates, self.config.offline_updates + progress.env_steps // self.config.train_every)
            while progress.updates < due:
                self._update(train_model=True)
                yield
        save_episodes(self._episodes_file(progress.rounds), play.episodes)
        for episode in play.episodes:
            self.replay.add(episode)
            progress.episodes.append((progress.env_steps, episode.total))
        progress.rounds += 1

    def _learn_until(self, limit: int, train_model: bool) -> Iterator[None]:
        every = self.config.checkpoint_every
        for _ in range(min(limit, (self.progress.updates // every + 1) * every) - self.progress.updates):
            self._update(train_model)
            yield

    def _update(self, train_model: bool) -> None:
        batch = self.replay.sample()
        if train_model:
            loss, states, _ = self.model.loss(batch)
            _check(loss, "the world model's loss")
            self._model_optimiser.zero_grad()
            loss.backward()
            nn.utils.clip_grad_norm_(self.model.parameters(), self.config.clip)
            self._model_optimiser.step()
        else:
            with torch.no_grad():
                states = self.model.observe(self.model.embed(batch.observation), batch.action, batch.is_first).states
        losses = self.behaviour.loss(self.model, states, batch.is_terminal)
        for name, loss in losses._asdict().items():
            _check(loss, f"the {name}'s loss")
        self.behaviour.step(self._behaviour_optimiser, losses)
        self.progress.updates += 1

    def _episodes_file(self, index: int) -> Path:
        return self._folder / f"episodes-{index:06d}.npz"

    def _save(self) -> None:
        device = self.behaviour.actor.low.device
        content = {
            "model": self.model.state_dict(), "model_optimiser": self._model_optimiser.state_dict(),
            "behaviour": self.behaviour.state_dict(), "behaviour_optimiser": self._behaviour_optimiser.state_dict(),
            "replay": self.replay.state(), "progress": self.progress.to_plain(), "rng": torch.get_rng_state(),
            "cuda_rng": torch.cuda.get_rng_state(device) if device.type == "cuda" else None,
        }  # fmt: skip
        save_torch(self._folder / CHECKPOINT, content)

    def _load(self) -> None:
        device = self.behaviour.actor.low.device
        content = load_torch(self._folder / CHECKPOINT, "fine-tuning checkpoint")
        self.model.load_state_dict(content["model"])
        self.behaviour.load_state_dict(content["behaviour"])
        self._model_optimiser.load_state_dict(content["model_optimiser"])
        self._behaviour_optimiser.load_state_dict(content["behaviour_optimiser"])
        self.progress = Progress.from_plain(content["progress"])
        for index in range(self.progress.rounds):
            for episode in load_episodes(self._episodes_file(index)):
                self.replay.add(episode)
        self.replay.load_state(content["replay"])
        torch.set_rng_state(content["rng"])
        if content["cuda_rng"] is not None:
            torch.cuda.set_rng_state(content["cuda_rng"], device)


def _check(loss: Tensor, what: str) -> None:
    if not torch.isfinite(loss):
        raise Diverged(f"{what} is {loss.item()}")
