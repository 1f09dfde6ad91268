"""Learning a representation by gradient descent, resumable at every checkpoint bit for bit."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from datasets.errors import UserError

_CHECKPOINT_EVERY = 100  # updates
Track = Callable[[range], Iterator[int]]


class Objective(Protocol):
    """What is learned.

    Attributes:
        name: of the representation, as in `pretrain.NAME` of params.yaml.
        networks: all that changes while learning, buffers included. encoder: the one of them that is kept.
    """

    name: str

    @property
    def encoder(self) -> nn.Module: ...

    @property
    def networks(self) -> nn.Module: ...

    def optimizer(self, learning_rate: float) -> torch.optim.Optimizer:
        """A fresh one over the parameters that learn."""
        ...

    def loss(self, frames: Tensor, generator: torch.Generator) -> Tensor:
        """Loss of uint8 frames [B, 3, H, W]; `generator` (on the CPU) is the only source of chance."""
        ...

    def after_update(self, fraction: float) -> None:
        """Called after every update; `fraction` of all updates, in (0, 1], is done."""
        ...


@dataclass(frozen=True)
class Schedule:
    """How long and how fast: a one-cycle learning rate (Smith and Topin 2019) that peaks at `learning_rate`.

    No updates leave the networks as they start: what learning adds is measured against that.
    """

    updates: int
    batch: int
    learning_rate: float
    seed: int
    device: str


def learn(objective: Objective, frames: NDArray[np.uint8], how: Schedule, folder: Path, track: Track) -> list[float]:
    """Fit `objective.networks`, in place; they end on `how.device`.

    Args:
        frames: uint8 [N, H, W, 3].
        folder: where a killed run left its checkpoint, and where this one leaves its own.
        track: iterates over the updates still to do, showing progress.

    Returns:
        The loss of every update.

    Raises:
        UserError: the loss became NaN or infinite.
    """
    pixels = torch.from_numpy(frames).permute(0, 3, 1, 2)
    networks = objective.networks.to(how.device)
    if how.updates == 0:
        return []
    optimizer = objective.optimizer(how.learning_rate)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, how.learning_rate, total_steps=how.updates)
    order = torch.Generator().manual_seed(how.seed)
    losses: list[Tensor] = []
    start = 0

    path = folder / f"{objective.name}.pt"
    if path.exists():
        saved = torch.load(path, weights_only=True, map_location=how.device)
        networks.load_state_dict(saved["networks"])
        optimizer.load_state_dict(saved["optimizer"])
        schedule.load_state_dict(saved["schedule"])
        order.set_state(saved["order"].cpu())
        losses, start = [*saved["losses"].cpu()], saved["update"]

    for update in track(range(start, how.updates)):
        chosen = torch.randint(len(pixels), (how.batch,), generator=order)
        loss = objective.loss(pixels[chosen].to(how.device), order)
        optimizer.zero_grad(set_to_none=True)
        loss.backward()
        optimizer.step()
        schedule.step()
        objective.after_update((update + 1) / how.updates)
        losses.append(loss.detach())
        if (update + 1) % _CHECKPOINT_EVERY == 0 or update + 1 == how.updates:
            done = torch.stack(losses)
            if not torch.isfinite(done).all():
                first = int((~torch.isfinite(done)).nonzero()[0])
                raise UserError(
                    f"{objective.name}: loss is {float(done[first])} at update {first}; "
                    f"lower pretrain.{objective.name}.learning_rate"
                )
            temporary = path.with_name(path.name + ".tmp")
            torch.save(
                {
                    "networks": networks.state_dict(), "optimizer": optimizer.state_dict(), "schedule": schedule.state_dict(),
                    "order": order.get_state(), "losses": done, "update": update + 1,
                },
                temporary,
            )  # fmt: skip
            temporary.replace(path)
    return torch.stack(losses).tolist()
