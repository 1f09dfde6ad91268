"""What a probe is asked for: rows as vectors, and which of their channels vary."""

from typing import NamedTuple

import torch
import torch.nn.functional as F
from jaxtyping import Float, Int
from torch import Tensor

from trainers.models import read_rows

CONSTANT = 1e-6  # of the largest standard deviation; below it a channel counts as constant
FAINT = 1e-2  # the same for embeddings, as the world models standardise them: beneath it lies the rounding of float16
_ROUNDING = 1e-7  # of a float32


class Channels(NamedTuple):
    """The channels of a target that vary, and by how much over the training rows.

    Attributes:
        kept: int64 [K], which. mean, std: float64 [K].
    """

    kept: Int[Tensor, " K"]
    mean: Float[Tensor, " K"]
    std: Float[Tensor, " K"]

    def standardised(self, rows: Tensor) -> Float[Tensor, "n K"]:
        """Rows [n, all channels] -> float32 [n, K]: 0 is the training mean, 1 a standard deviation."""
        return ((rows[:, self.kept].double() - self.mean) / self.std).float()


def varying(rows: Tensor, least: float) -> Channels:
    """The channels of training rows [n, *] whose standard deviation is more than `least` of the largest one."""
    mean = rows.double().mean(0)
    std = (rows.double() - mean).square().mean(0).sqrt()
    most = float(std.max()) if std.numel() else 0.0
    kept = ((std > least * most) & (std > _ROUNDING * mean.abs())).nonzero().squeeze(1)
    return Channels(kept, mean[kept], std[kept])


def as_vectors(observation: Tensor, rows: Int[Tensor, " n"], side: int) -> Float[Tensor, "n D"]:
    """What rows show, as one vector each, float32.

    Args:
        observation: stored values [T, *]: vectors; tokens [T, h, w, D], which are averaged over their positions; uint8 frames
            [T, H, W, 3], which are averaged down to `side` x `side` x 3, in [0, 1].
        rows: int64 [n].
        side: pixels.
    """

    def read(values: Tensor) -> Tensor:
        if values.dtype == torch.uint8:
            small = F.adaptive_avg_pool2d(values.permute(0, 3, 1, 2).float() / 255, side)
            return small.permute(0, 2, 3, 1).flatten(1)
        return values.float().flatten(1, -2).mean(1) if values.ndim > 2 else values.float()

    return read_rows(read, observation, rows)


def evenly(count: int, most: int) -> Int[Tensor, " n"]:
    """int64, at most `most` of `count` places, evenly spaced."""
    return torch.linspace(0, count - 1, min(most, count), dtype=torch.float64).long()
