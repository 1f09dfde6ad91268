"""One update of one model: noise, losses, gradients, clipping, optimisers; and the part of a checkpoint that it owns."""

import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any, Protocol

import torch
from torch import Tensor

from trainers.arithmetic import Precision, cast
from trainers.graph import Graphed
from trainers.models import Group, Loss, Metrics, Trainable
from trainers.processes import averaged_
from trainers.worldmodel.types import Batch


@dataclass
class Split:
    """Seconds that updates spent on each part.

    Attributes:
        seconds: by part.
        waits: whether a GPU is waited for before the clock is read.
        counting: False once updates are a CUDA graph, which has no parts.
    """

    seconds: dict[str, float] = field(default_factory=dict)
    waits: bool = False
    counting: bool = True

    @contextmanager
    def on(self, part: str) -> Iterator[None]:
        """Count what the block takes as `part`."""
        start = time.perf_counter()
        yield
        if not self.counting:
            return
        if self.waits:
            if torch.cuda.is_current_stream_capturing():
                return
            torch.cuda.synchronize()
        self.seconds[part] = self.seconds.get(part, 0.0) + time.perf_counter() - start

    def __str__(self) -> str:
        total = sum(self.seconds.values()) or 1.0
        return ", ".join(f"{part} {seconds / total:.0%}" for part, seconds in self.seconds.items())


@dataclass(frozen=True)
class Rules:
    """How gradients become steps.

    Attributes:
        clip: global norm that gradients are scaled down to.
        precision: of products outside the recurrence: fp32, or bf16 by autocast (parameters and losses stay float32).
        rank, world: which of how many processes this is; each has every `world`-th window of a batch.
    """

    clip: float
    precision: Precision = "fp32"
    rank: int = 0
    world: int = 1


class Update(Protocol):
    """What the offline loop does again and again, of one model or of several."""

    names: list[str]

    def __call__(self, batches: Sequence[Batch], rate: float) -> Tensor:
        """One step on a batch of each model at a learning rate; float [models, metrics], as `names` has them, on the device."""
        ...

    def contents(self) -> list[dict[str, Any]]:
        """Of each model: all that its next update depends on, tensors and plain values."""
        ...

    def load(self, contents: Sequence[Mapping[str, Any]]) -> None:
        """Go on where `contents` was taken."""
        ...

    def release(self) -> None:
        """Leave what was learned in the models that it was made with."""
        ...


class Single:
    """The update of one model."""

    def __init__(self, model: Trainable, seed: int, rules: Rules, device: torch.device, split: Split) -> None:
        """
        Args:
            model: on `device`.
            seed: of its noise.
            rules: clipping, precision, share of a batch.
            device: that batches are on.
            split: where time is counted.
        """
        self._model, self._rules, self._split, self._device = model, rules, split, device
        self._groups = model.groups()
        self._optimisers = {of: adam(groups, device) for of, groups in self._groups.items()}
        self._generator = torch.Generator(device).manual_seed(seed)
        self._run = Graphed(self._losses, device, rules.world)
        self.names: list[str] = []

    def __call__(self, batches: Sequence[Batch], rate: float) -> Tensor:
        (batch,), rules = batches, self._rules
        self._split.counting = not self._run.captured
        windows, length = batch.reward.shape
        with self._split.on("data"):
            noise = self._model.draw(windows * rules.world, length, self._generator)
            if rules.world > 1:
                noise = noise.share(rules.rank, rules.world)
        for of, optimiser in self._optimisers.items():
            set_rates(optimiser, self._groups[of], rate)
        return self._run(batch, noise)[None]

    def _losses(self, batch: Batch, noise: Any) -> Tensor:
        metrics: Metrics = {}
        carried: Any = ()
        for of, groups in self._groups.items():
            with self._split.on("forward"), cast(self._device, self._rules.precision):
                loss: Loss = self._model.minimised(of, batch, noise, carried)
            carried = loss.carried
            parameters = [p for group in groups for p in group.parameters]
            with self._split.on("backward"):
                self._optimisers[of].zero_grad()
                loss.value.backward()
                averaged_([p.grad for p in parameters if p.grad is not None])
            with self._split.on("optimiser"):
                norm = torch.nn.utils.clip_grad_norm_(parameters, self._rules.clip)
                self._optimisers[of].step()
            metrics |= with_norm(metrics, loss.metrics, of, norm.detach())
        with self._split.on("optimiser"):
            self._model.settle()
        self.names = list(metrics)
        return torch.stack(list(metrics.values()))

    def contents(self) -> list[dict[str, Any]]:
        optimisers = {of: optimiser.state_dict() for of, optimiser in self._optimisers.items()}
        return [{"weights": self._model.state_dict(), "optimisers": optimisers, "noise": self._generator.get_state()}]

    def load(self, contents: Sequence[Mapping[str, Any]]) -> None:
        (content,) = contents
        self._model.load_state_dict(content["weights"])
        for of, optimiser in self._optimisers.items():
            load_optimiser(optimiser, content["optimisers"][of])
        self._generator.set_state(content["noise"].cpu())

    def release(self) -> None:
        """It is there."""


def with_norm(before: Metrics, metrics: Metrics, of: str, norm: Tensor) -> Metrics:
    """A loss's metrics and its gradient's norm before clipping, of an update's first loss without its name."""
    return metrics | {(f"{of}_gradient_norm" if before else "gradient_norm"): norm}


def adam(groups: Iterable[Group], device: torch.device) -> torch.optim.Adam:
    """One optimiser, its rates still to be set; on a GPU everything that it reads is there, so that a CUDA graph can hold it."""
    on_gpu = device.type == "cuda"
    return torch.optim.Adam(
        [{"params": g.parameters, "eps": g.eps, "lr": torch.zeros((), device=device) if on_gpu else 0.0} for g in groups],
        fused=True, capturable=on_gpu,
    )  # fmt: skip


def set_rates(optimiser: torch.optim.Optimizer, groups: Sequence[Group], rate: float) -> None:
    """The learning rate of every group, before a step."""
    for own, group in zip(optimiser.param_groups, groups, strict=True):
        if isinstance(own["lr"], Tensor):
            own["lr"].fill_(rate * group.rate)
        else:
            own["lr"] = rate * group.rate


def load_optimiser(optimiser: torch.optim.Optimizer, state: Mapping[str, Any]) -> None:
    """Its state alone: how it is made is the running code's, so that a GPU's checkpoint goes on on a CPU."""
    own = optimiser.state_dict()["param_groups"]
    optimiser.load_state_dict({"state": state["state"], "param_groups": own})
