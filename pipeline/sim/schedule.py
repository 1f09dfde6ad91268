"""Which episodes are recorded: whose policy acts, from which seed, and which are held out."""

from pathlib import Path
from typing import NamedTuple

import numpy as np

from datasets.episodes import EpisodeFacts
from datasets.errors import UserError
from datasets.frames import Look
from pipeline.params import QUALITIES, Params, Quality
from pipeline.sim.behaviour import Learning
from pipeline.sim.names import SIZE
from pipeline.sim.plans import Plan
from pipeline.sim.variants import looks

EVALUATION_EPISODES = 8  # per checkpoint
_SAC, _EVALUATION, _QUALITY = 0, 1, 2  # independent streams of seeds
_SIZES = _QUALITY + len(QUALITIES)


class Entry(NamedTuple):
    """One episode to record."""

    plan: Plan
    facts: EpisodeFacts


class Schedule:
    """The episodes of one task.

    Args:
        learning, file: the SAC run, and where workers read it.
        folder: of the episodes' files.

    Raises:
        UserError: more replayed episodes are asked for than were learned from.
    """

    def __init__(self, task: str, settings: Params, learning: Learning, file: Path, folder: Path) -> None:
        self.task = task
        self._settings, self._learning, self._file, self._folder = settings, learning, file, folder
        folder.mkdir(exist_ok=True)
        wanted, learned = settings.collect.episodes.replay, len(learning.episodes)
        if wanted > learned:
            raise UserError(
                f"collect.episodes.replay is {wanted}, but SAC finishes {learned} episodes in {settings.collect.sac.steps} steps:"
                " lower it, or raise collect.sac.steps"
            )

    def evaluation(self) -> dict[int, list[Plan]]:
        """For each checkpoint (after so many steps) the same few episodes."""
        seeds = [_seed(self._settings.seed, _EVALUATION, episode) for episode in range(EVALUATION_EPISODES)]
        return {
            steps: [self._plan("checkpoint", steps, seed, f"evaluation-{steps}-{number}") for number, seed in enumerate(seeds)]
            for steps in self._learning.checkpoints
        }

    def entries(self, checkpoints: dict[str, int]) -> list[Entry]:
        """All episodes in the order of the file: training, validation, then those with resized bodies.

        Args:
            checkpoints: after how many steps the `expert` and the `medium` policy were kept.
        """
        own = sorted(self._own_body(checkpoints), key=lambda entry: entry.facts.validation)  # stable
        sizes = size_looks(self._settings, self.task)
        resized = [entry for n, look in enumerate(sizes) for entry in self._resized(n, look, checkpoints)]
        return own + resized

    def _own_body(self, checkpoints: dict[str, int]) -> list[Entry]:
        collect, learned = self._settings.collect, self._learning.episodes
        entries = []
        for stream, quality in enumerate(QUALITIES, start=_QUALITY):
            count = collect.episodes.of(quality)
            held_out = _spread(collect.validation.of(quality), count)
            for number, source in enumerate(_spread(count, len(learned))):
                policy, index = self._policy(quality, checkpoints)
                seed = _seed(self._settings.seed, stream, number)
                if quality == "replay":
                    policy, index, seed = "replay", source, learned[source][0]
                plan = self._plan(policy, index, seed, f"{quality}-{number}")
                entries.append(Entry(plan, EpisodeFacts(quality, seed, number in held_out)))
        return entries

    def _resized(self, number: int, look: Look, checkpoints: dict[str, int]) -> list[Entry]:
        """Held-out episodes: the same policies, which never saw such a body; `replay` acts as the nearest checkpoint."""
        entries = []
        for quality in QUALITIES:
            sources = _spread(self._settings.collect.size.episodes.of(quality), len(self._learning.episodes))
            for episode, source in enumerate(sources):
                policy, index = self._policy(quality, checkpoints)
                if quality == "replay":
                    index = self._nearest_checkpoint(source)
                seed = _seed(self._settings.seed, _SIZES + number, QUALITIES.index(quality), episode)
                plan = self._plan(policy, index, seed, f"{look.variant}-{quality}-{episode}", look)
                entries.append(Entry(plan, EpisodeFacts(quality, seed, True, look.variant)))
        return entries

    def _policy(self, quality: Quality, checkpoints: dict[str, int]) -> tuple[str, int]:
        return (self._settings.collect.random, 0) if quality == "random" else ("checkpoint", checkpoints.get(quality, 0))

    def _nearest_checkpoint(self, episode: int) -> int:
        """The checkpoint taken nearest to the middle of a learning episode."""
        lengths = [len(actions) for _, actions in self._learning.episodes]
        middle = sum(lengths[:episode]) + lengths[episode] / 2
        return min(self._learning.checkpoints, key=lambda steps: abs(steps - middle))

    def _plan(self, policy: str, index: int, seed: int, name: str, look: Look | None = None) -> Plan:
        collect, out, source = self._settings.collect, self._folder / f"{name}.npz", self._settings.source_of(self.task)
        repeat, steps = collect.action_repeat, collect.episode_steps
        return Plan(self.task, repeat, steps, policy, index, seed, self._file, out, look, source)


def size_looks(settings: Params, task: str) -> list[Look]:
    """The looks of axis size that trajectories of `task` are collected for."""
    if not settings.draws(task):
        return []
    size = settings.collect.size
    return looks([SIZE], size.severities, size.looks_per_severity, settings.seed)


def sac_seed(seed: int) -> int:
    """The seed of the SAC run."""
    return _seed(seed, _SAC, 0)


def _spread(count: int, among: int) -> list[int]:
    """`count` indices spread evenly over range(among)."""
    return [(2 * i + 1) * among // (2 * count) for i in range(count)]


def _seed(*path: int) -> int:
    """A seed of its own for every episode, from the data's seed, the stream and what else tells it apart."""
    return int(np.random.SeedSequence(path).generate_state(1)[0]) >> 1
