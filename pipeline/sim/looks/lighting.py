"""The lighting axis: intensity, colour and direction of every light, and further lights that come up with it.

Shadows move with the lights, and the further lights cast their own, in `standard` quality only: `fast` draws none.
"""

import colorsys
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pipeline.sim.looks.axis import Effect
from pipeline.sim.looks.draw import Draw
from pipeline.sim.looks.rotation import rotation_matrix
from pipeline.sim.mj import mujoco

# At amplitude 1.
_GAIN = (0.6, 0.9)  # of log intensity, up or down
_TINT = 0.4  # of log intensity per colour channel, towards a hue
_TILT = np.deg2rad([40.0, 65.0])
_MOST_TILT = np.deg2rad(80.0)  # light from below would be darkness
_MOST_LIGHTS = 2
_INTENSITY = (0.3, 0.5)
_ELEVATION = np.deg2rad([25.0, 60.0])


def shift_lighting(model: Any, amplitude: float, draw: Draw) -> None:
    """Scale and tint all lights alike, the headlight included; tilt each towards one heading (the held-out direction)."""
    hue, heading = draw.place(), 2 * np.pi * draw.place()
    tint = _TINT * (2 * np.array(colorsys.hsv_to_rgb(hue, 1.0, 1.0)) - 1)
    factor = np.exp(amplitude * (draw.sign() * draw.rng.uniform(*_GAIN) + tint))
    headlight = model.vis.headlight
    for intensity in (headlight.ambient, headlight.diffuse, headlight.specular):
        intensity[:] = intensity * factor
    for name in ("light_ambient", "light_diffuse", "light_specular"):
        field = getattr(model, name)
        field[:] = field * factor
    tilt = min(amplitude * draw.rng.uniform(*_TILT), _MOST_TILT)
    turn = rotation_matrix(tilt * np.array([np.cos(heading), np.sin(heading), 0.0]))
    for name in ("light_dir", "light_dir0"):  # MuJoCo reads the second for lights that track a body
        field = getattr(model, name)
        field[:] = field @ turn.T


class FurtherLights(Effect):
    """One or two more directional lights, whose intensity is in proportion to the amplitude."""

    def __init__(self, model: Any, amplitude: float, draw: Draw) -> None:
        self._lights: list[tuple[NDArray[np.float64], NDArray[np.float64]]] = []
        for _ in range(int(draw.rng.integers(1, _MOST_LIGHTS + 1))):
            heading, elevation = 2 * np.pi * draw.place(), draw.rng.uniform(*_ELEVATION)
            level = np.cos(elevation)
            direction = -np.array([level * np.cos(heading), level * np.sin(heading), np.sin(elevation)])
            colour = np.array(colorsys.hsv_to_rgb(draw.place(), 0.5, 1.0))
            self._lights.append((direction, amplitude * draw.rng.uniform(*_INTENSITY) * colour))
        self._reach, self._centre = 4 * model.stat.extent, np.array(model.stat.center)

    def light(self, scene: Any) -> None:
        for direction, colour in self._lights:
            light = scene.lights[scene.nlight]
            light.id, light.texid = -1, -1
            light.type = mujoco.mjtLightType.mjLIGHT_DIRECTIONAL
            light.pos[:] = self._centre - self._reach * direction
            light.dir[:] = direction
            light.ambient[:] = 0
            light.specular[:] = 0
            light.diffuse[:] = colour
            light.attenuation[:] = (1, 0, 0)
            light.cutoff, light.exponent = 180, 0
            light.headlight, light.castshadow = 0, 1
            light.bulbradius, light.intensity, light.range = 0.02, 0, 10 * self._reach
            scene.nlight += 1
