"""A short video of an episode, for people."""

from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

_LEAST = 128  # pixels a side
_MOST, _STEP_MS = 125, 80  # frames, and how long each is shown


def save_film(path: Path, frames: list[NDArray[np.uint8]]) -> None:
    """Write uint8 [H, W, 3] frames as one looping WebP, evenly thinned to ten seconds; whole or not at all."""
    thinned = frames[:: -(-len(frames) // _MOST)]
    factor = -(-_LEAST // frames[0].shape[0])
    pictures = [Image.fromarray(frame.repeat(factor, 0).repeat(factor, 1)) for frame in thinned]
    temporary = path.with_name(path.name + ".tmp")
    pictures[0].save(
        temporary, format="WEBP", save_all=True, append_images=pictures[1:], duration=_STEP_MS, loop=0, quality=80, method=0
    )
    temporary.replace(path)
