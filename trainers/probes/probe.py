"""A regression of several targets at once, and its errors in units of each target's own variance."""

from collections.abc import Mapping
from typing import NamedTuple, Protocol

import torch
from jaxtyping import Float
from torch import Tensor

from trainers.probes.targets import CONSTANT, FAINT, Channels, varying

LEAST = {"state": CONSTANT, "reward": CONSTANT, "embedding": FAINT}


class Regressor(Protocol):
    """Something fitted."""

    def predict(self, x: Tensor) -> Tensor:
        """Inputs [n, D] -> [n, K]."""
        ...


Targets = Mapping[str, Tensor]  # of rows [n, *] by name


class Asked(NamedTuple):
    """What probes are asked for, fixed from training rows: the channels of each target that vary; a constant one is not asked."""

    channels: dict[str, Channels]

    def joined(self, targets: Targets) -> Float[Tensor, "n K"]:
        """Standardised, side by side, float32."""
        first = next(iter(targets.values()))
        parts = [channels.standardised(targets[name]) for name, channels in self.channels.items()]
        return torch.cat(parts, 1) if parts else first.new_zeros(len(first), 0)

    def errors(self, regressor: Regressor, x: Tensor, targets: Targets) -> dict[str, Float[Tensor, " n"]]:
        """Squared error of each row over the training rows' variance, averaged over channels: 1 is what their mean would have."""
        if not self.channels:
            return {}
        squares = (regressor.predict(x) - self.joined(targets)).double().square()
        sizes = [len(channels.kept) for channels in self.channels.values()]
        return {name: part.mean(1) for name, part in zip(self.channels, squares.split(sizes, 1), strict=True)}


def ask(targets: Targets) -> Asked:
    """What can be asked, given training rows [n, *] by name (of `LEAST`)."""
    found = {name: varying(rows, LEAST[name]) for name, rows in targets.items()}
    return Asked({name: channels for name, channels in found.items() if len(channels.kept)})
