"""The texture axis: floor, walls, sky and body materials painted over, with procedural patterns or the user's images."""

from typing import Any

import numpy as np

from pipeline.sim.looks.draw import Draw
from pipeline.sim.looks.pattern import colour, picture, waves
from pipeline.sim.mj import mujoco

_BACKGROUND_BLEND = 0.45  # at amplitude 1; all three leave the body well visible
_BODY_BLEND = 0.5
_COLOUR_BLEND = 0.35
_MOST = 0.9  # of any blend, whatever the amplitude
_BACKGROUND_BRIGHTNESS = (0.1, 0.5)  # bodies are bright on dark floors in the suite, and stay so
_BODY_BRIGHTNESS = (0.6, 1.0)
_BODY_TEXTURE = "encore_"
_BODY_SIZE = 64  # texels


def add_body_textures(spec: Any, amplitude: float, draw: Draw) -> None:
    """Give every plain material of an MjSpec a white texture of its own, to be painted on (terrain cannot bear one)."""
    terrain = {geom.material for geom in spec.geoms if geom.type == mujoco.mjtGeom.mjGEOM_HFIELD}
    cube, flat = mujoco.mjtTexture.mjTEXTURE_CUBE, mujoco.mjtBuiltin.mjBUILTIN_FLAT
    for index, material in enumerate(spec.materials):
        if any(material.textures) or material.name in terrain:
            continue
        texture = spec.add_texture(
            name=f"{_BODY_TEXTURE}{index}", type=cube, builtin=flat, rgb1=[1, 1, 1], rgb2=[1, 1, 1], width=_BODY_SIZE,
            height=_BODY_SIZE,
        )  # fmt: skip
        material.textures[mujoco.mjtTextureRole.mjTEXROLE_RGB] = texture.name


def shift_texture(model: Any, amplitude: float, draw: Draw) -> None:
    """Blend every texture towards a picture, every colour of a body towards another."""
    for index in range(model.ntex):
        _paint(model, index, amplitude, draw)
    for material in range(model.nmat):
        texture = int(model.mat_texid[material].max())
        if texture < 0 or _is_body(model, texture):
            _blend(model.mat_rgba[material], colour(draw, *_BODY_BRIGHTNESS), amplitude * _COLOUR_BLEND)
    for geom in range(model.ngeom):
        if model.geom_matid[geom] < 0:
            _blend(model.geom_rgba[geom], colour(draw, *_BODY_BRIGHTNESS), amplitude * _COLOUR_BLEND)


def _is_body(model: Any, texture: int) -> bool:
    return bool(model.tex(texture).name.startswith(_BODY_TEXTURE))


def _paint(model: Any, index: int, amplitude: float, draw: Draw) -> None:
    height, width, channels = (int(a[index]) for a in (model.tex_height, model.tex_width, model.tex_nchannel))
    start = int(model.tex_adr[index])
    texels = model.tex_data[start : start + height * width * channels].reshape(height, width, channels)
    faces = 1 if model.tex_type[index] == mujoco.mjtTexture.mjTEXTURE_2D else max(height // width, 1)
    body = _is_body(model, index)
    amount = min(amplitude * (_BODY_BLEND if body else _BACKGROUND_BLEND), _MOST)
    for face in np.split(texels, faces):
        # A body keeps a bright pattern of its own, never the user's picture: on both floor and body that would hide it.
        low, high = _BODY_BRIGHTNESS if body else _BACKGROUND_BRIGHTNESS
        seen = (waves if body else picture)(face.shape[0], face.shape[1], draw, low, high)
        face[..., :3] = np.rint(np.float32(1 - amount) * face[..., :3] + np.float32(amount * 255) * seen)


def _blend(rgba: Any, other: Any, amount: float) -> None:
    amount = min(amount, _MOST)
    rgba[:3] = (1 - amount) * rgba[:3] + amount * other
