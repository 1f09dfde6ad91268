"""Pictures that looks are painted with: procedural ones, or the user's own files."""

import colorsys
from collections.abc import Sequence
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image, UnidentifiedImageError

from datasets.errors import UserError
from pipeline.sim.looks.draw import Draw

Picture = NDArray[np.floating[Any]]
_WAVES = 4


def colour(draw: Draw, low: float, high: float) -> Picture:
    """A saturated colour [3] in 0..1 whose largest channel lies between `low` and `high`; its hue is the held-out direction."""
    return np.array(colorsys.hsv_to_rgb(draw.place(), draw.rng.uniform(0.6, 0.9), draw.rng.uniform(low, high)))


def waves(height: int, width: int, draw: Draw, low: float, high: float) -> Picture:
    """[height, width, 3] in 0..1: two colours mixed by a few plane waves, which tile seamlessly."""
    frequencies, phases = draw.rng.integers(-3, 4, size=(_WAVES, 2)), draw.rng.uniform(0, 2 * np.pi, _WAVES)
    y = 2 * np.pi * np.arange(height)[:, None] / height * frequencies[:, 0] + phases
    x = 2 * np.pi * np.arange(width)[:, None] / width * frequencies[:, 1]
    # sin(y + x) of all waves, summed as one product: far cheaper than a sine at every pixel
    sums = np.hstack([np.sin(y), np.cos(y)]).astype(np.float32) @ np.hstack([np.cos(x), np.sin(x)]).astype(np.float32).T
    mix = (1 / (1 + np.exp(-3 * sums)))[..., None]
    first, second = colour(draw, low, high).astype(np.float32), colour(draw, low, high).astype(np.float32)
    return second + mix * (first - second)


def picture(height: int, width: int, draw: Draw, low: float, high: float) -> Picture:
    """[height, width, 3] in 0..1: one of the user's images where there are any, else `waves`."""
    if not draw.images:
        return waves(height, width, draw, low, high)
    return _load(draw.choose(sorted(draw.images)), height, width)


def check_images(paths: Sequence[str]) -> None:
    """Open every file that is to become a texture.

    Raises:
        UserError: one is missing or is no image that Pillow can read.
    """
    for path in paths:
        _load(path, 8, 8)


@lru_cache(maxsize=16)
def _load(path: str, height: int, width: int) -> Picture:
    try:
        with Image.open(Path(path)) as image:
            return np.asarray(image.convert("RGB").resize((width, height), Image.Resampling.BILINEAR), np.float32) / 255
    except FileNotFoundError:
        raise UserError(f"render.images: {path} does not exist; give image files, or [] for procedural textures") from None
    except (UnidentifiedImageError, OSError, ValueError, SyntaxError, Image.DecompressionBombError) as error:
        raise UserError(f"render.images: {path} is not an image that can be read ({error}); give PNG or JPEG files") from None
