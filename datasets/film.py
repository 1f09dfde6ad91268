"""Frames for people to look at: enlarged, and as a short video."""

from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

LEAST = 128  # pixels a side, at least
_MOST, _STEP_MS = 125, 80  # frames, and how long each is shown


def enlarged(frame: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """[H, W, 3] of at least `LEAST` pixels a side: whole-numbered, so that pixels stay pixels."""
    factor = -(-LEAST // frame.shape[0])
    return frame.repeat(factor, axis=0).repeat(factor, axis=1)


def save_film(path: Path, frames: list[NDArray[np.uint8]]) -> None:
    """Write uint8 [H, W, 3] frames as one looping WebP, evenly thinned to ten seconds; whole or not at all."""
    pictures = [Image.fromarray(enlarged(frame)) for frame in frames[:: -(-len(frames) // _MOST)]]
    temporary = path.with_name(path.name + ".tmp")
    pictures[0].save(
        temporary, format="WEBP", save_all=True, append_images=pictures[1:], duration=_STEP_MS, loop=0, quality=80, method=0
    )
    temporary.replace(path)
