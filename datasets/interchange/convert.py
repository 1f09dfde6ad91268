"""Checked conversions that the importers share: rows, frames, and what a foreign file's errors become."""

import zipfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from datasets.episodes import Episode
from datasets.errors import DataError

_DAMAGE = (
    OSError, EOFError, LookupError, ValueError, RuntimeError, TypeError, AttributeError, zlib.error, zipfile.BadZipFile,
)  # fmt: skip


def arrive_together(
    where: str, action: NDArray[Any], reward: NDArray[Any], is_terminal: NDArray[Any], discount: NDArray[Any] | None = None,
    observation: NDArray[Any] | None = None,
) -> Episode:  # fmt: skip
    """One episode from arrays whose row t already holds what arrives with frame t; row 0 gets Encore's zeros.

    Args:
        where: names the episode in errors.
        action: [t, A]. reward, is_terminal, discount: [t] (discount: 1 - is_terminal where None). observation: [t, O] or None.

    Raises:
        DataError: lengths differ, there are fewer than two rows, or a value is not finite.
    """
    rows = reward.size
    given = {"action": action, "reward": reward, "is_terminal": is_terminal, "discount": discount, "observation": observation}
    arrays: dict[str, NDArray[Any]] = {}
    for name, values in given.items():
        if values is None:
            continue
        dimensions = 2 if name in ("action", "observation") else 1
        if values.shape[:1] != (rows,) or values.ndim != dimensions or values.dtype.kind not in "fiub":
            found = f"{name} is {values.dtype} {list(values.shape)}"
            raise DataError(f"{where}: {found}, numbers of {dimensions} dimension(s) and {rows} rows expected; export it again")
        with np.errstate(over="ignore"):
            arrays[name] = values.astype(np.float32)
        if not np.isfinite(arrays[name][1:] if name != "observation" else arrays[name]).all():
            raise DataError(f"{where}: {name} holds a value that is not finite; leave the episode out")
    if rows < 2:
        raise DataError(f"{where}: {rows} row(s), at least 2 expected; leave the episode out")
    is_first = np.arange(rows) == 0
    terminal = (arrays["is_terminal"] != 0) & ~is_first
    for name, start in (("action", 0), ("reward", 0), ("discount", 1)):
        if name in arrays:
            arrays[name][0] = start
    return Episode(
        physics=np.zeros((rows, 0)), observation=arrays.get("observation", np.zeros((rows, 0), np.float32)),
        action=arrays["action"], reward=arrays["reward"], is_first=is_first, is_terminal=terminal,
        discount=arrays.get("discount", 1 - terminal.astype(np.float32)),
    )  # fmt: skip


def square_frames(where: str, images: NDArray[Any], rows: int) -> NDArray[np.uint8]:
    """uint8 [t, H, H, 3] from images [t, H, H, 3] or [t, 3 k, H, H]: of k stacked frames the last, which is the newest.

    Raises:
        DataError: they are something else; non-square frames are refused, as resizing would change pixels.
    """
    shape = list(images.shape)
    if images.dtype != np.uint8 or images.ndim != 4 or not (shape[3] == 3 or shape[1] % 3 == 0):
        raise DataError(f"{where}: images are {images.dtype} {shape}; uint8 [t, H, H, 3] or [t, 3 k, H, H] expected")
    frames = images if shape[3] == 3 else images[:, -3:].transpose(0, 2, 3, 1)
    if len(frames) != rows:
        raise DataError(f"{where}: {len(frames)} images for {rows} rows; the episode is cut short, export it again")
    height, width = frames.shape[1:3]
    if height != width:
        raise DataError(f"{where}: images are {height} x {width} pixels, square ones expected; crop or resize them first")
    return np.ascontiguousarray(frames)


@contextmanager
def reading(path: Path, expected: str) -> Iterator[None]:
    """Turn what numpy, zipfile and h5py raise on a foreign or damaged file into one line.

    Raises:
        DataError: names `path`, what was `expected` and what is wrong.
    """
    try:
        yield
    except _DAMAGE as error:
        found = (str(error).splitlines() or [type(error).__name__])[0].strip("'\"")
        what = "is missing" if isinstance(error, FileNotFoundError) else f"is not {expected} ({found})"
        raise DataError(f"{path} {what}; check imports' path and format, or fetch the file again") from None
