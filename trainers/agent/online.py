"""The loop from an offline world model, or from nothing, to an agent that learns online; and its control that never acts.

First behaviour is learned from the collected data, the world model as it came (the offline-only policy, evaluated at 0 steps).
Then the agent plays whole rounds of episodes; as it does, world model and behaviour are updated every
`train_every` agent steps on windows of the collected and the agent's own data. The control makes the same updates from the
collected data alone; a run from nothing has no collected data, and waits with its updates until its first episodes are whole.
After every block of work a checkpoint lets a killed run go on to the same bytes.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path
from typing import Protocol

import numpy as np
import torch

from datasets.errors import UserError
from datasets.film import save_film
from datasets.frames import DEFAULT
from trainers.agent.agent import Agent, Diverged
from trainers.agent.episodes import load_episodes, save_episodes
from trainers.agent.play import Film, Player
from trainers.agent.progress import Evaluation, OnlineConfig, Progress
from trainers.agent.replay import Replay
from trainers.agent.stopwatch import Stopwatch
from trainers.checkpoint import load_torch, save_torch

CHECKPOINT, TIMES = "checkpoint.pt", "times.json"
OpenPlayer = Callable[[], Player]


class Track(Protocol):
    """Wraps an iterator in a progress display (`pipeline.log.track`)."""

    def __call__(self, items: Iterable[None], total: int, unit: str, desc: str, initial: int = 0) -> Iterable[None]: ...


class OnlineTrainer:
    """Runs one arm. The caller seeds torch's global generator before it makes the networks."""

    def __init__(
        self, config: OnlineConfig, agent: Agent, replay: Replay, player: Player, folder: Path, name: str, track: Track,
        log: Callable[[str], None], looks: Mapping[str, OpenPlayer] | None = None,
    ) -> None:  # fmt: skip
        """
        Args:
            config: how long, how often.
            agent: what learns.
            replay: over the collected data.
            player: has `agent` act; time is counted where it counts its own.
            folder: checkpoint and episodes; a run that finds them there goes on from them.
            name: in log lines and errors.
            track, log: progress display.
            looks: by variant, of other looks and of the default, what opens a player whose environments show it.
        """
        self.config, self.agent, self.replay, self.player = config, agent, replay, player
        self.progress = Progress()
        self._folder, self._name, self._track, self._log = folder, name, track, log
        self._looks = looks or {}
        folder.mkdir(parents=True, exist_ok=True)
        self._watch = Stopwatch(folder / TIMES)

    def run(self) -> Progress:
        """Train to the end.

        Raises:
            UserError: training diverged; names the last good checkpoint.
        """
        if (self._folder / CHECKPOINT).is_file():
            self._load()
        try:
            for _ in self._track(self._work(), self.config.updates, "update", self._name, self.progress.updates):
                pass
        except Diverged as error:
            file = self._folder / CHECKPOINT
            good = f"the last good checkpoint is {file}" if file.is_file() else "no checkpoint was written before it"
            raise UserError(
                f"{self._name} diverged: {error} at update {self.progress.updates + 1}; {good}; lower {self.agent.lower}"
            ) from None
        return self.progress

    def _work(self) -> Iterator[None]:
        """Do what is due, block by block, a checkpoint after each; yields after every update."""
        config, progress = self.config, self.progress
        while True:
            if progress.updates < config.offline_updates:
                yield from self._learn_until(config.offline_updates, train_model=False)
            elif self.replay.ready and progress.updates < self._due:
                yield from self._learn_until(self._due, train_model=True)
            elif self._evaluation_due():
                self._evaluate()
            elif config.collects and progress.env_steps < config.env_steps:
                yield from self._play_round()
            else:
                return
            self._save()

    @property
    def _due(self) -> int:
        """Updates that should have been made by now: of the control, which has no steps to go by, all."""
        config = self.config
        steps = min(self.progress.env_steps, config.env_steps) if config.collects else config.env_steps
        return config.offline_updates + steps // config.train_every

    def _evaluation_due(self) -> bool:
        config, progress = self.config, self.progress
        if not config.collects:
            return progress.updates == config.updates and not progress.evaluations
        if not progress.evaluations:
            return True
        last, now = progress.evaluations[-1].env_steps, progress.env_steps
        return now > last and (now // config.eval_every > last // config.eval_every or now >= config.env_steps)

    def _evaluate(self) -> None:
        config, progress = self.config, self.progress
        seeds = [self._reset_seed(1, i) for i in range(config.eval_episodes)]
        self._watch.note(progress.env_steps)
        returns = self.player.evaluate(seeds)
        progress.evaluations.append(Evaluation(progress.env_steps, progress.updates, returns))
        self._log(f"{self._name}: return {np.mean(returns):.0f} after {progress.env_steps} steps ({self.player.split})")
        last = not config.collects or progress.env_steps >= config.env_steps
        if config.eval_looks == "all" or (last and config.eval_looks == "last"):
            for variant in self._looks:
                self._evaluate_under(variant, seeds[: config.eval_look_episodes])

    def _evaluate_under(self, variant: str, seeds: list[int]) -> None:
        """Evaluate under a look, and keep a film of the first episode; the default has been evaluated, and is only filmed."""
        player, film = self._looks[variant](), Film()
        try:
            returns = player.evaluate(seeds[:1] if variant == DEFAULT else seeds, film)
        finally:
            player.envs.close()
        if variant != DEFAULT:
            self.progress.evaluations.append(Evaluation(self.progress.env_steps, self.progress.updates, returns, variant))
        save_film(self._folder / f"{variant}.webp", film)

    def _reset_seed(self, purpose: int, index: int) -> int:
        return int(np.random.SeedSequence([self.config.seed, purpose, index]).generate_state(1)[0] >> 1)

    def _play_round(self) -> Iterator[None]:
        progress, envs = self.progress, len(self.player.envs)
        play = self.player.play([self._reset_seed(0, progress.rounds * envs + i) for i in range(envs)], explore=True)
        for steps in play:
            progress.env_steps += steps
            while self.replay.ready and progress.updates < self._due:
                self._update(train_model=True)
                yield
        save_episodes(self._episodes_file(progress.rounds), play.episodes)
        for episode in play.episodes:
            self.replay.add(episode)
            progress.episodes.append((progress.env_steps, episode.total))
        progress.rounds += 1
        if self.config.standardises and progress.rounds == 1:
            self.agent.standardise(*self.replay.online)

    def _learn_until(self, limit: int, train_model: bool) -> Iterator[None]:
        every = self.config.checkpoint_every
        for _ in range(min(limit, (self.progress.updates // every + 1) * every) - self.progress.updates):
            self._update(train_model)
            yield

    def _update(self, train_model: bool) -> None:
        with self.player.split.on("data"):
            batch, starts = self.replay.sample()
        with self.player.split.on("updates"):
            self.agent.update(batch, starts, train_model)
        self.progress.updates += 1

    def _episodes_file(self, index: int) -> Path:
        return self._folder / f"episodes-{index:06d}.npz"

    def _save(self) -> None:
        device = self.agent.device
        content = {
            "agent": self.agent.content(), "replay": self.replay.state(), "progress": self.progress.to_plain(),
            "rng": torch.get_rng_state(), "cuda_rng": torch.cuda.get_rng_state(device) if device.type == "cuda" else None,
        }  # fmt: skip
        save_torch(self._folder / CHECKPOINT, content)

    def _load(self) -> None:
        content = load_torch(self._folder / CHECKPOINT, "fine-tuning checkpoint")
        self.agent.load(content["agent"])
        self.progress = Progress.from_plain(content["progress"])
        for index in range(self.progress.rounds):
            for episode in load_episodes(self._episodes_file(index)):
                self.replay.add(episode)
        self.replay.load_state(content["replay"])
        torch.set_rng_state(content["rng"])
        if content["cuda_rng"] is not None:
            torch.cuda.set_rng_state(content["cuda_rng"], self.agent.device)
