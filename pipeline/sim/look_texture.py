"""The texture axis: materials' and bodies' colours, and procedural patterns blended into floor and sky."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from pipeline.sim.mj import mujoco

_COLOUR_BLEND = 0.35  # at severity 1; both leave the body well visible
_PATTERN_BLEND = 0.45
_BACKGROUND_BRIGHTNESS = (0.1, 0.5)  # bodies are bright on dark floors in the suite, and stay so
_BODY_BRIGHTNESS = (0.6, 1.0)
_WAVES = 4


def shift_texture(model: Any, severity: float, rng: np.random.Generator) -> None:
    """Blend every texture towards a random pattern, every plain colour towards a random one."""
    for index in range(model.ntex):
        _blend_texture(model, index, severity * _PATTERN_BLEND, rng)
    textured = {m for m in range(model.nmat) if (model.mat_texid[m] >= 0).any()}
    for material in range(model.nmat):
        colour = _colour(rng, _BODY_BRIGHTNESS)
        if material not in textured:
            _blend(model.mat_rgba[material], colour, severity * _COLOUR_BLEND)
    for geom in range(model.ngeom):
        colour = _colour(rng, _BODY_BRIGHTNESS)
        if model.geom_matid[geom] < 0:
            _blend(model.geom_rgba[geom], colour, severity * _COLOUR_BLEND)


def _blend_texture(model: Any, index: int, amount: float, rng: np.random.Generator) -> None:
    height, width, channels = (int(a[index]) for a in (model.tex_height, model.tex_width, model.tex_nchannel))
    start = int(model.tex_adr[index])
    texels = model.tex_data[start : start + height * width * channels].reshape(height, width, channels)
    faces = 1 if model.tex_type[index] == mujoco.mjtTexture.mjTEXTURE_2D else max(height // width, 1)
    for face in np.split(texels, faces):
        pattern = 255 * _pattern(face.shape[0], face.shape[1], rng)
        face[..., :3] = np.rint((1 - amount) * face[..., :3] + amount * pattern)


def _pattern(height: int, width: int, rng: np.random.Generator) -> NDArray[np.float64]:
    """[height, width, 3] in 0..1: two dark colours mixed by a few plane waves, which tile seamlessly."""
    y, x = np.meshgrid(np.arange(height) / height, np.arange(width) / width, indexing="ij")
    frequencies, phases = rng.integers(-3, 4, size=(_WAVES, 2)), rng.uniform(0, 2 * np.pi, _WAVES)
    waves = [np.sin(2 * np.pi * (fy * y + fx * x) + phase) for (fy, fx), phase in zip(frequencies, phases, strict=True)]
    mix = 1 / (1 + np.exp(-3 * np.sum(waves, axis=0)))[..., None]
    return mix * _colour(rng, _BACKGROUND_BRIGHTNESS) + (1 - mix) * _colour(rng, _BACKGROUND_BRIGHTNESS)


def _colour(rng: np.random.Generator, brightness: tuple[float, float]) -> NDArray[np.float64]:
    """A saturated random colour [3] whose largest channel lies in `brightness`."""
    channels = rng.permutation(np.array([0.0, rng.uniform(), 1.0]))
    return rng.uniform(*brightness) * (0.2 + 0.8 * channels)


def _blend(rgba: NDArray[np.float32], colour: NDArray[np.float64], amount: float) -> None:
    rgba[:3] = (1 - amount) * rgba[:3] + amount * colour
