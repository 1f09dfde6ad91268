"""Looks: other ways to see the same physics states, drawn from an axis, a severity and a seed.

A look changes only what is drawn, as a pure function of (axis, severity, seed). One seed draws one direction on its
axis, which severity in (0, 1] scales, so that the change of a look grows with severity and severity 0 is the default.
"""

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from datasets.errors import UserError
from datasets.frames import DEFAULT, Look
from pipeline.sim.look_camera import shift_camera
from pipeline.sim.look_lighting import shift_lighting
from pipeline.sim.look_texture import shift_texture

_AXES: dict[str, Callable[[Any, float, np.random.Generator], None]] = {
    "texture": shift_texture,
    "lighting": shift_lighting,
    "camera": shift_camera,
}
_SEEDS_APART = 1000


def looks(axes: Sequence[str], severities: Sequence[float], per_severity: int, seed: int) -> list[Look]:
    """The default look (split `id`), then every axis x severity x draw (split `ood`).

    Raises:
        UserError: two looks would have the same name.
    """
    shifted = [
        Look(f"{axis}-{severity:.2f}-{draw}", axis, severity, seed * _SEEDS_APART + draw, "ood")
        for axis in axes
        for severity in severities
        for draw in range(per_severity)
    ]
    names = [look.variant for look in shifted]
    for name in names:
        if names.count(name) > 1:
            raise UserError(f"render.axes or render.severities repeats {name}: each value once, and at least 0.01 apart")
    return [Look(DEFAULT, DEFAULT, 0.0, 0, "id"), *shifted]


def apply_look(model: Any, look: Look) -> None:
    """Change the appearance of `model` (an MjModel as the task loads it, before a renderer is made for it)."""
    if look.axis == DEFAULT or look.severity == 0:
        return
    rng = np.random.Generator(np.random.PCG64([look.seed, list(_AXES).index(look.axis)]))
    _AXES[look.axis](model, look.severity, rng)
