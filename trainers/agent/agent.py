"""What the online loop asks of what acts and learns, stated structurally: DreamerV3's and TD-MPC2's agents satisfy it."""

from collections.abc import Mapping
from typing import Any, Protocol

import torch
from torch import Tensor

from trainers.worldmodel.types import Batch


class Diverged(Exception):
    """A loss or an action is not finite."""


class Agent(Protocol):
    """Acts in B environments at once and learns from windows. `Memory` (here Any) is what it knows of the episodes so far."""

    lower: str  # the settings to lower where it diverges, for error lines

    @property
    def device(self) -> torch.device:
        """That it computes on."""
        ...

    @property
    def keeps_frames(self) -> bool:
        """Whether it learns from the frame beside what it reads."""
        ...

    def standardise(self, rows: Tensor, frames: Tensor | None) -> None:
        """Fix what observations are standardised with, from rows [n, *observation_shape]: of an agent without data before."""
        ...

    def begin(self, count: int, explore: bool) -> Any:
        """The memory of `count` episodes that begin. Without `explore`, what follows is the same each time."""
        ...

    def act(self, memory: Any, observation: Tensor, led: Tensor, is_first: Tensor, explore: bool) -> tuple[Tensor, Any]:
        """Actions float [B, A] in the task's units, and the memory for the next step.

        Args:
            memory: of the step before.
            observation: [B, *observation_shape]. led: float [B, A], the action that led there. is_first: bool [B].
            explore: whether it acts to learn, or as well as it can.
        """
        ...

    def update(self, batch: Batch, starts: Tensor, model: bool) -> None:
        """Learn from windows [B, L]: behaviour, and the world model where `model`.

        Args:
            starts: int64 [B], the windows' first rows in replay, which numbers the collected rows first, then its own.

        Raises:
            Diverged: a loss is not finite.
        """
        ...

    def content(self) -> dict[str, Any]:
        """All that its next update and action depend on but torch's global generator: tensors and plain values."""
        ...

    def load(self, content: Mapping[str, Any]) -> None:
        """Go on where `content` was taken."""
        ...

    def weights(self) -> dict[str, Any]:
        """What it is in the end: `config` of the world model, `model`, and `behaviour` where that is apart from it."""
        ...
