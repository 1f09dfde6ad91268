"""Looks: other ways to see the same physics states, drawn from an axis, a severity, a seed and a split.

A look changes only what is drawn (a look of axis size also the physics, and has trajectories of its own), as a pure function
of the physics state and (axis, severity, seed, split). One seed draws one direction on its axis, which severity in (0, 1]
scales, so that the change of a look grows with severity and severity 0 is the default. What the severities mean and what they
do to a picture, measured: docs/looks.md.
"""

from collections.abc import Sequence
from typing import Any

from datasets.errors import UserError
from datasets.frames import DEFAULT, Look
from pipeline.sim.looks.axis import Axis, Effect
from pipeline.sim.looks.calibration import amplitude
from pipeline.sim.looks.camera import Drift, shift_camera
from pipeline.sim.looks.color import recolour
from pipeline.sim.looks.distractors import Distractors
from pipeline.sim.looks.draw import Draw
from pipeline.sim.looks.lighting import FurtherLights, shift_lighting
from pipeline.sim.looks.size import resize_geoms
from pipeline.sim.looks.texture import add_body_textures, shift_texture
from pipeline.sim.names import ALL, JOIN, SIZE

AXES: dict[str, Axis] = {
    "color": Axis(edit=recolour),
    "texture": Axis(edit=add_body_textures, apply=shift_texture),
    "lighting": Axis(apply=shift_lighting, effect=FurtherLights),
    "camera": Axis(apply=shift_camera),
    "drift": Axis(effect=Drift),
    "distractors": Axis(effect=Distractors),
    SIZE: Axis(edit=resize_geoms, paired=False),
}
_TOGETHER = [name for name, axis in AXES.items() if axis.paired]
_SHARE_OF_ALL = 0.5  # of each axis's severity in `all`: all at their strongest would hide the body
_SEEDS_APART = 1000


def looks(
    axes: Sequence[str], severities: Sequence[float], per_severity: int, seed: int, split: str = "ood", images: Sequence[str] = ()
) -> list[Look]:
    """Every axis x severity x draw, of one split.

    Raises:
        UserError: two looks would have the same name.
    """
    mark = "" if split == "ood" else split
    shifted = [
        Look(f"{axis}-{severity:.2f}-{mark}{draw}", axis, severity, seed * _SEEDS_APART + draw, split, tuple(images))
        for axis in axes
        for severity in severities
        for draw in range(per_severity)
    ]
    names = [look.variant for look in shifted]
    for name in names:
        if names.count(name) > 1:
            raise UserError(f"render.axes or render.severities repeats {name}: each value once, and at least 0.01 apart")
    return shifted


class Wardrobe:
    """All that one look changes.

    Args:
        look: None for the default.
    """

    def __init__(self, look: Look | None) -> None:
        self._look = look
        self._parts: list[tuple[str, Axis, float]] = []
        if look is not None and look.axis != DEFAULT and look.severity > 0:
            share = _SHARE_OF_ALL if look.axis == ALL else 1.0
            names = _TOGETHER if look.axis == ALL else look.axis.split(JOIN)
            self._parts = [(name, AXES[name], amplitude(name, share * look.severity)) for name in AXES if name in names]

    @property
    def edits(self) -> bool:
        """Whether the model must be compiled anew."""
        return any(axis.edit for _, axis, _ in self._parts)

    def edit(self, spec: Any) -> None:
        """Change an MjSpec, before it is compiled."""
        for name, axis, much in self._parts:
            if axis.edit is not None:
                axis.edit(spec, much, self._draw(name, "edit"))

    def apply(self, model: Any) -> list[Effect]:
        """Change the compiled MjModel; returns what changes with time."""
        for name, axis, much in self._parts:
            if axis.apply is not None:
                axis.apply(model, much, self._draw(name, "apply"))
        return [
            a.effect(model, severity, self._draw(name, "effect")) for name, a, severity in self._parts if a.effect is not None
        ]

    def _draw(self, axis: str, step: str) -> Draw:
        assert self._look is not None
        return Draw(f"{axis} {step}", self._look.seed, self._look.split, self._look.images)
