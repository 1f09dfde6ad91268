"""Offline training: one loop over random windows, of one model or several, which a killed run continues bit for bit."""

import json
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import torch
from torch import Tensor

from datasets.errors import UserError
from trainers.arithmetic import Precision
from trainers.checkpoint import load_torch, save_torch
from trainers.feed import Feed
from trainers.models import Model
from trainers.processes import averaged_
from trainers.together import Together
from trainers.update import Rules, Single, Split, Update

FINAL_RATE = 0.1  # of the learning rate, at the last update
LOG_EVERY = 20  # updates averaged into one logged value
Track = Callable[[range], Iterable[int]]


@dataclass(frozen=True)
class Settings:
    """How a model is trained (`train` in params.yaml).

    Attributes:
        updates: gradient steps.
        learning_rate: of Adam.
        clip: global norm that gradients are scaled down to.
        checkpoint_every: updates between checkpoints.
        warmup: updates over which the rate rises linearly to `learning_rate`.
        decay: the last part of all updates, over which it falls linearly to a tenth. At a constant rate a short run ends on
            noise: 15-step open-loop R2 of `state` 0.79 against 0.93, 800 updates on cartpole_swingup.
        precision: of products outside the recurrence.
        section: of params.yaml that says so.
    """

    updates: int
    learning_rate: float
    clip: float
    checkpoint_every: int
    warmup: int = 50
    decay: float = 0.4
    precision: Precision = "fp32"
    section: str = "train"

    def rate(self, update: int) -> float:
        """The learning rate of one update, counted from 1."""
        left = (self.updates - update) / max(self.decay * self.updates, 1.0)
        return self.learning_rate * min(1.0, update / self.warmup, FINAL_RATE + (1 - FINAL_RATE) * left)


@dataclass(frozen=True)
class Point:
    """One logged value: the mean of a metric over the `LOG_EVERY` updates before and including `update`."""

    update: int
    metric: str
    value: float


OnPoints = Callable[[Sequence[Point]], None]


class Member(NamedTuple):
    """One model to train.

    Attributes:
        model: freshly built, on the feed's device.
        feed: of windows of training episodes.
        seed: of its noise.
        name: in errors.
        on_points: told all points so far, then each time the new ones.
    """

    model: Model
    feed: Feed
    seed: int
    name: str = "the model"
    on_points: OnPoints = lambda points: None


class OfflineTrainer:
    """Trains models on windows; everything that the next update depends on is in its checkpoint.

    Attributes:
        members: what is trained.
        update: how many are done.
        points: of each model.
        split: what updates spend their time on.
    """

    def __init__(
        self, members: Sequence[Member], settings: Settings, checkpoint: Path, rank: int = 0, world: int = 1
    ) -> None:  # fmt: skip
        """
        Args:
            members: one, or several that train as one program (`trainers.together`).
            settings: of the loop.
            checkpoint: file to resume from if it is there, and to write to.
            rank, world: which of how many processes this is; their feeds share each batch (`trainers.processes`).

        Raises:
            DataError: the checkpoint is damaged.
            UserError: the models cannot train together.
        """
        self.members, self._settings, self._path, self._rank = list(members), settings, checkpoint, rank
        self._device = members[0].feed.device
        self.split = Split(waits=self._device.type == "cuda")
        rules = Rules(settings.clip, settings.precision, rank, world)
        self._update: Update
        if len(members) == 1:
            self._update = Single(members[0].model, members[0].seed, rules, self._device, self.split)
        else:
            models, seeds = [member.model for member in members], [member.seed for member in members]
            self._update = Together(models, seeds, rules, self._device, self.split)
        self._pending: list[Tensor] = []  # metrics [models, metrics] of the updates since the last logged point
        self.update = 0
        self.points: list[list[Point]] = [[] for _ in members]
        if checkpoint.exists():
            self._resume()

    def run(self, track: Track = iter) -> None:
        """Train to the last update.

        Args:
            track: wraps the range of updates still to do, to show progress.

        Raises:
            UserError: the loss is no longer finite, or a metric is beyond the model's limits.
        """
        for member, points in zip(self.members, self.points, strict=True):
            member.on_points(points)
        for update in track(range(self.update + 1, self._settings.updates + 1)):
            with self.split.on("data"):
                batches = [member.feed.next() for member in self.members]
            self._pending.append(self._update(batches, self._settings.rate(update)))
            self.update = update
            if len(self._pending) == LOG_EVERY or update == self._settings.updates < LOG_EVERY:
                self._log()
            if update % self._settings.checkpoint_every == 0 and update < self._settings.updates:
                self._save()
        self._check_finite()
        self._update.release()

    def _log(self) -> None:
        self._check_finite()
        means = torch.stack(self._pending).mean(0).tolist()
        for member, points, values in zip(self.members, self.points, means, strict=True):
            new = [Point(self.update, name, value) for name, value in zip(self._update.names, values, strict=True)]
            points += new
            member.on_points(new)
        self._pending = []

    def _check_finite(self) -> None:
        if not self._pending:
            return
        averaged_(self._pending)
        values, names = torch.stack(self._pending).cpu(), self._update.names
        wrong = ~torch.isfinite(values)
        for number, member in enumerate(self.members):
            for name, limit in member.model.limits.items():
                column = values[:, number, names.index(name)]
                if column.mean() > limit:
                    wrong[:, number, names.index(name)] |= column > limit
        if wrong.any():
            row, number, column = wrong.nonzero()[0].tolist()
            update = self.update - len(self._pending) + 1 + row
            whose = "" if len(self.members) == 1 else f" of {self.members[number].name}"
            good = f"the last good checkpoint is {self._path}" if self._path.exists() else "no checkpoint was written before it"
            raise UserError(
                f"training{whose} diverged: {names[column]} is {values[row, number, column].item()} at update {update} of "
                f"{self._settings.updates}; {good}; lower {self._settings.section}.learning_rate or {self._settings.section}.clip"
            )

    def _save(self) -> None:
        self._check_finite()
        if self._rank:
            return
        content = {
            "update": self.update, "models": self._update.contents(),
            "samplers": [json.dumps(member.feed.state_dict()) for member in self.members],
            "names": self._update.names, "pending": self._pending,
            "points": [[[p.update, p.metric, p.value] for p in points] for points in self.points],
        }  # fmt: skip
        save_torch(self._path, content)

    def _resume(self) -> None:
        content: dict[str, Any] = load_torch(self._path, "training checkpoint")
        self._update.load(content["models"])
        for member, state in zip(self.members, content["samplers"], strict=True):
            member.feed.load_state_dict(json.loads(state))
        self.update, self._update.names = content["update"], content["names"]
        self._pending = [values.to(self._device) for values in content["pending"]]
        self.points = [[Point(*point) for point in points] for points in content["points"]]
