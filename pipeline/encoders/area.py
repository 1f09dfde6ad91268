"""Square frames shrunk to a smaller side: each pixel the mean of the area that it covers."""

from functools import lru_cache

import numpy as np
from numpy.typing import NDArray


def shrunk(frames: NDArray[np.uint8], side: int) -> NDArray[np.uint8]:
    """uint8 [N, n, n, 3] -> uint8 [N, side, side, 3], area means rounded, halves up; of that side already: the frames themselves.

    Sums of whole numbers below 2^53, so they are exact in float64 whatever adds them up: the same frame gives the same bytes
    in a batch of any size, stored or rendered online.

    Raises:
        ValueError: the frames are smaller.
    """
    size = frames.shape[1]
    if size < side:
        raise ValueError(f"frames of {size} pixels cannot be shrunk to {side}")
    if size == side:
        return frames
    covered = _covered(size, side)
    rows = covered @ frames.reshape(len(frames), size, -1).astype(np.float64)  # (N, side, n * 3)
    sums = covered @ rows.reshape(len(frames), side, size, 3)  # (N, side, side, 3)
    return np.floor((2 * sums + size**2) / (2 * size**2)).astype(np.uint8)


@lru_cache
def _covered(size: int, side: int) -> NDArray[np.float64]:
    """float64 [side, size]: how much of each old pixel lies in each new one, in units of 1 / side; a row sums to `size`."""
    new, old = np.arange(side)[:, None] * size, np.arange(size) * side
    return (np.minimum(new + size, old + side) - np.maximum(new, old)).clip(min=0).astype(np.float64)
