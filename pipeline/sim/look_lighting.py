"""The lighting axis: intensity, tint and direction of every light, the headlight included.

Shadows move with the lights only in `standard` quality: `fast` draws none.
"""

from typing import Any

import numpy as np

from pipeline.sim.rotation import rotation_matrix

_MAX_GAIN = 0.6  # of log intensity, at severity 1
_MIN_GAIN = 0.4
_MAX_TINT = 0.25  # of log intensity per colour channel
_MAX_TILT = np.deg2rad(50.0)
_MIN_TILT = np.deg2rad(30.0)


def shift_lighting(model: Any, severity: float, rng: np.random.Generator) -> None:
    """Scale and tint all lights alike; tilt each about the vertical's perpendiculars."""
    gain = rng.choice([-1.0, 1.0]) * rng.uniform(_MIN_GAIN, _MAX_GAIN)
    factor = np.exp(severity * (gain + rng.uniform(-_MAX_TINT, _MAX_TINT, size=3)))
    headlight = model.vis.headlight
    for intensity in (headlight.ambient, headlight.diffuse, headlight.specular):
        intensity[:] = intensity * factor
    for name in ("light_ambient", "light_diffuse", "light_specular"):
        field = getattr(model, name)
        field[:] = field * factor
    heading, tilt = rng.uniform(0, 2 * np.pi), severity * rng.uniform(_MIN_TILT, _MAX_TILT)
    turn = rotation_matrix(tilt * np.array([np.cos(heading), np.sin(heading), 0.0]))
    for name in ("light_dir", "light_dir0"):  # MuJoCo reads the second for lights that track a body
        field = getattr(model, name)
        field[:] = field @ turn.T
