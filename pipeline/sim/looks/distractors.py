"""The distractors axis: a moving procedural picture behind the scene, where sky, floor or terrain is seen.

The bodies are never touched: MuJoCo's segmentation says where they are. Severity is how opaque the picture is.
"""

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pipeline.sim.looks.axis import Effect, Frame
from pipeline.sim.looks.draw import Draw
from pipeline.sim.looks.pattern import colour

_OPACITY = 0.55  # at amplitude 1
_BRIGHTNESS = (0.15, 0.6)
_WAVES, _DISCS = 3, 5
_WAVE_SPEED, _DISC_SPEED = 1.5, 0.15  # radians and picture widths a second
_RADIUS = (0.06, 0.14)


class Distractors(Effect):
    """Plane waves of two colours, and discs of others that drift across them and come in again at the far side."""

    def __init__(self, model: Any, amplitude: float, draw: Draw) -> None:
        rng = draw.rng
        self._opacity = min(amplitude * _OPACITY, 0.9)
        self._ground = [colour(draw, *_BRIGHTNESS) for _ in range(2)]
        self._frequencies = rng.uniform(-2.5, 2.5, (_WAVES, 2))
        self._phases = rng.uniform(0, 2 * np.pi, _WAVES)
        self._speeds = rng.choice([-1, 1], _WAVES) * rng.uniform(0.5, 1, _WAVES) * _WAVE_SPEED
        self._discs = [
            (rng.uniform(0, 1, 2), rng.normal(size=2), rng.uniform(*_RADIUS), colour(draw, 0.5, 1)) for _ in range(_DISCS)
        ]

    def after(self, frame: Frame, background: Callable[[], NDArray[np.bool_]], data: Any) -> Frame:
        behind = background()
        picture = self._picture(frame.shape[0], frame.shape[1], data.time)
        out = frame.copy()
        out[behind] = np.rint((1 - self._opacity) * frame[behind] + self._opacity * 255 * picture[behind])
        return out

    def _picture(self, height: int, width: int, time: float) -> NDArray[np.floating[Any]]:
        """float32 [height, width, 3] in 0..1 at `time` in seconds."""
        y, x = np.arange(height, dtype=np.float32)[:, None] / height, np.arange(width, dtype=np.float32)[None, :] / width
        total = np.zeros((height, width), np.float32)
        for (fy, fx), phase, speed in zip(self._frequencies, self._phases, self._speeds, strict=True):
            total += np.sin(np.float32(2 * np.pi) * (np.float32(fy) * y + np.float32(fx) * x) + np.float32(phase + speed * time))
        mix = (1 / (1 + np.exp(-2 * total)))[..., None]
        picture = mix * self._ground[0].astype(np.float32) + (1 - mix) * self._ground[1].astype(np.float32)
        for start, heading, radius, seen in self._discs:
            centre = (start + time * _DISC_SPEED * heading / np.linalg.norm(heading)) % 1
            dy, dx = (np.abs(axis - c) for axis, c in zip((y, x), centre, strict=True))
            near = np.minimum(dy, 1 - dy) ** 2 + np.minimum(dx, 1 - dx) ** 2 < radius**2  # the picture's ends meet
            picture[near] = seen
        return picture
