"""Offline training: one loop over random windows, which a killed run continues bit for bit."""

import json
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from datasets.errors import UserError
from trainers.checkpoint import load_torch, save_torch
from trainers.feed import Feed
from trainers.models import Group, Loss, Metrics, Trainable

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
        section: of params.yaml that says so.
    """

    updates: int
    learning_rate: float
    clip: float
    checkpoint_every: int
    warmup: int = 50
    decay: float = 0.4
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


class OfflineTrainer:
    """Trains a model on windows; everything that the next update depends on is in its checkpoint."""

    def __init__(self, model: Trainable, feed: Feed, settings: Settings, checkpoint: Path) -> None:
        """
        Args:
            model: freshly built, on the feed's device.
            feed: of windows of training episodes.
            settings: of the loop.
            checkpoint: file to resume from if it is there, and to write to.

        Raises:
            DataError: the checkpoint is damaged.
        """
        self.model, self._feed, self._settings, self._path = model, feed, settings, checkpoint
        self._groups = model.groups()
        self._optimisers = {name: _adam(groups, settings.learning_rate) for name, groups in self._groups.items()}
        self._device = feed.device
        self._names: list[str] = []
        self._pending: list[Tensor] = []  # metrics of the updates since the last logged point
        self.update = 0
        self.points: list[Point] = []
        if checkpoint.exists():
            self._resume()

    def run(self, track: Track = iter) -> None:
        """Train to the last update.

        Args:
            track: wraps the range of updates still to do, to show progress.

        Raises:
            UserError: the loss is no longer finite, or a metric is beyond the model's limits.
        """
        for update in track(range(self.update + 1, self._settings.updates + 1)):
            self._step(update)
            if len(self._pending) == LOG_EVERY or update == self._settings.updates < LOG_EVERY:
                self._log()
            if update % self._settings.checkpoint_every == 0 and update < self._settings.updates:
                self._save()
        self._check_finite()

    def _step(self, update: int) -> None:
        metrics: Metrics = {}
        for loss in self.model.losses(self._feed.next()):
            norm = self._minimise(loss, self._settings.rate(update))
            metrics |= loss.metrics | {("gradient_norm" if not metrics else f"{loss.of}_gradient_norm"): norm}
        self._names = list(metrics)
        self._pending.append(torch.stack(list(metrics.values())))
        self.update = update

    def _minimise(self, loss: Loss, rate: float) -> Tensor:
        """One step of the loss's own optimiser; the gradient's norm before clipping."""
        optimiser, groups = self._optimisers[loss.of], self._groups[loss.of]
        for own, group in zip(optimiser.param_groups, groups, strict=True):
            own["lr"] = rate * group.rate
        optimiser.zero_grad()
        loss.value.backward()
        norm = torch.nn.utils.clip_grad_norm_([p for group in groups for p in group.parameters], self._settings.clip)
        optimiser.step()
        return norm.detach()

    def _log(self) -> None:
        self._check_finite()
        means = torch.stack(self._pending).mean(0).tolist()
        self.points += [Point(self.update, name, value) for name, value in zip(self._names, means, strict=True)]
        self._pending = []

    def _check_finite(self) -> None:
        if not self._pending:
            return
        values = torch.stack(self._pending).cpu()
        wrong = ~torch.isfinite(values)
        for name, limit in self.model.limits.items():
            column = self._names.index(name)
            if values[:, column].mean() > limit:
                wrong[:, column] |= values[:, column] > limit
        if wrong.any():
            row, column = wrong.nonzero()[0].tolist()
            update = self.update - len(self._pending) + 1 + row
            good = f"the last good checkpoint is {self._path}" if self._path.exists() else "no checkpoint was written before it"
            raise UserError(
                f"training diverged: {self._names[column]} is {values[row, column].item()} at update {update} of "
                f"{self._settings.updates}; {good}; lower {self._settings.section}.learning_rate or {self._settings.section}.clip"
            )

    def _save(self) -> None:
        self._check_finite()
        cuda = torch.cuda.get_rng_state(self._device) if self._device.type == "cuda" else None
        content = {
            "update": self.update, "weights": self.model.state_dict(),
            "optimisers": {name: optimiser.state_dict() for name, optimiser in self._optimisers.items()},
            "rng": torch.get_rng_state(), "cuda_rng": cuda, "sampler": json.dumps(self._feed.state_dict()),
            "names": self._names, "pending": self._pending, "points": [[p.update, p.metric, p.value] for p in self.points],
        }  # fmt: skip
        save_torch(self._path, content)

    def _resume(self) -> None:
        content: dict[str, Any] = load_torch(self._path, "training checkpoint")
        self.model.load_state_dict(content["weights"])
        for name, optimiser in self._optimisers.items():
            optimiser.load_state_dict(content["optimisers"][name])
        self._feed.load_state_dict(json.loads(content["sampler"]))
        torch.set_rng_state(content["rng"])
        if content["cuda_rng"] is not None:
            torch.cuda.set_rng_state(content["cuda_rng"], self._device)
        self.update, self._names = content["update"], content["names"]
        self._pending = [values.to(self._device) for values in content["pending"]]
        self.points = [Point(*point) for point in content["points"]]


def _adam(groups: list[Group], rate: float) -> torch.optim.Adam:
    return torch.optim.Adam([{"params": group.parameters, "eps": group.eps} for group in groups], lr=rate, fused=True)
