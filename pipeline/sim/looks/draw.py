"""The random choices of one look, and what keeps held-out looks apart from those a model may train on."""

from collections.abc import Sequence
from typing import TypeVar

import numpy as np

T = TypeVar("T")
HELD_OUT = 0.2  # of every axis's directions


class Draw:
    """Draws for one axis of one look: a pure function of (axis, seed, split).

    Every axis has a direction (a hue, a heading, a palette's entry, how far a size goes) on a scale from 0 to 1. Looks of
    split `id` take the first four fifths of it, those of split `ood` the last: no model has seen their directions.

    Attributes:
        rng: for all that is not held out.
        images: files that the user supplies as textures.
    """

    def __init__(self, axis: str, seed: int, split: str, images: Sequence[str] = ()) -> None:
        self.rng = np.random.Generator(np.random.PCG64([seed, *axis.encode()]))
        self.images = tuple(images)
        self._low, self._high = (0.0, 1 - HELD_OUT) if split == "id" else (1 - HELD_OUT, 1.0)

    def place(self) -> float:
        """A direction in [0, 1), within the split's part of it."""
        return float(self.rng.uniform(self._low, self._high))

    def choose(self, items: Sequence[T]) -> T:
        """One of `items`: of the first four fifths of them, or of the rest (at least one on either side)."""
        first = min(max(round(len(items) * (1 - HELD_OUT)), 1), len(items) - 1) if len(items) > 1 else 0
        part = items[:first] if self._low == 0 and len(items) > 1 else items[first:]
        return part[int(self.rng.integers(len(part)))]

    def sign(self) -> float:
        """-1 or 1."""
        return float(self.rng.choice([-1.0, 1.0]))
