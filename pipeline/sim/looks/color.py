"""The color axis (the paper's): background and body colours from the DMControl Generalization Benchmark's hard settings.

Its 100 settings (`colors.json`; Hansen and Wang, arXiv 2011.13389, MIT licence) give the body's, both of the floor's and the
sky's colour; the last twenty are held out. Severity blends from the task's own colours to the setting's.
"""

import json
from collections.abc import Sequence
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np

from pipeline.sim.looks.draw import Draw

Setting = dict[str, list[float]]


@cache
def settings() -> list[Setting]:
    """The benchmark's settings: `self_rgb`, `grid_rgb1`, `grid_rgb2` and `skybox_rgb`, each [3] in 0..1."""
    content: dict[str, list[Setting]] = json.loads((Path(__file__).with_name("colors.json")).read_text())
    return content["colors"]


def recolour(spec: Any, amplitude: float, draw: Draw) -> None:
    """Change the colours of an MjSpec: the suite's materials and textures of these names, as the benchmark does."""
    colours = draw.choose(settings())
    for texture in spec.textures:
        if texture.name == "grid":
            texture.rgb1 = _blend(texture.rgb1, colours["grid_rgb1"], amplitude)
            texture.rgb2 = _blend(texture.rgb2, colours["grid_rgb2"], amplitude)
            texture.markrgb = _blend(texture.markrgb, colours["grid_rgb2"], amplitude)
        elif texture.name == "skybox":
            texture.rgb1 = _blend(texture.rgb1, colours["skybox_rgb"], amplitude)
    for material in spec.materials:
        if material.name in ("self", "self_default"):
            material.rgba[:3] = _blend(material.rgba[:3], colours["self_rgb"], amplitude)


def _blend(own: Sequence[float], other: Sequence[float], amount: float) -> Any:
    amount = min(amount, 1.0)
    return (1 - amount) * np.asarray(own) + amount * np.asarray(other)
