"""Stored tokens read as float32, however they are stored: mapped, compressed, or rounded to int8."""

from pathlib import Path
from typing import Any

import numpy as np
import zarr
from numpy.typing import NDArray

from datasets.embedding_shards import ERROR, SCALE, TOKENS
from datasets.embeddings import Embeddings, attributes_of, load_embeddings, map_embeddings, verified
from datasets.mapped import MappedRows, can_map

_AT_ONCE = 256  # rows brought to float32 at a time


def load_tokens(folder: Path, variant: str) -> Embeddings[NDArray[np.float16]]:
    """One look's `tokens` [T, h, w, D] in memory as float16, however they are stored; NaN in rows that are not there.

    Raises:
        DataError: they are missing or damaged.
    """
    stored = StoredTokens(folder, variant)
    values = np.empty(stored.shape, np.float16)
    for first in range(0, len(values), _AT_ONCE):
        rows = np.arange(first, min(first + _AT_ONCE, len(values)))
        values[rows] = stored.rows(rows)
    return Embeddings(values, stored.attributes)


def map_tokens(folder: Path, variant: str) -> "Embeddings[StoredTokens]":
    """One look's `tokens` [T, h, w, D], read where they lie.

    Raises:
        DataError: they are missing or damaged.
    """
    stored = StoredTokens(folder, variant)
    return Embeddings(stored, stored.attributes)


class StoredTokens:
    """One look's `tokens` [T, h, w, D] or `hidden` [T, N, D], read where they lie.

    Attributes:
        shape: (T, ..., D). dtype: float32, of what is read.
        attributes: what made them.
        error: float32 [T], of int8 ones, root mean square of what rounding lost over that of what was there; else None.
    """

    dtype = np.dtype(np.float32)

    def __init__(self, folder: Path, variant: str, array: str = TOKENS) -> None:
        """
        Args:
            folder: `data/embeddings/TASK/ENCODER`; the array's checksums are verified here, once.
            variant: the look.
            array: `tokens` or `hidden`.

        Raises:
            DataError: the array is missing or damaged.
        """
        group = verified(folder, variant, array)
        path, self.attributes = group / array, attributes_of(group, array)
        self._values: Any = MappedRows(path) if can_map(path) else zarr.open_array(path, mode="r")
        self.shape: tuple[int, ...] = self._values.shape
        self._scale: MappedRows | None = None
        self.error: NDArray[np.float32] | None = None
        if self.attributes["dtype"] == "int8":
            self._scale = map_embeddings(folder, variant, array + SCALE).values
            self.error = load_embeddings(folder, variant, array + ERROR).values

    def rows(self, rows: NDArray[np.int64]) -> NDArray[np.float32]:
        """float32 [n, ..., D] of single rows."""
        mapped = isinstance(self._values, MappedRows)
        values = self._values.rows(rows) if mapped else np.asarray(self._values.oindex[rows])
        return self._as_float(values, None if self._scale is None else self._scale.rows(rows))

    def windows(self, starts: NDArray[np.int64], length: int, out: NDArray[Any] | None = None) -> NDArray[np.float32]:
        """float32 [B, L, ..., D]: rows `start` to `start + length` of every start, in `out` where it is given.

        Raises:
            IndexError: a window ends behind the last row.
        """
        found = self._windows(starts, length)
        if out is None:
            return found
        out[:] = found
        return out

    def _windows(self, starts: NDArray[np.int64], length: int) -> NDArray[np.float32]:
        if isinstance(self._values, MappedRows):
            values = self._values.windows(starts, length)
            return self._as_float(values, None if self._scale is None else self._scale.windows(starts, length))
        if starts.max(initial=0) + length > self.shape[0]:
            raise IndexError(f"a window of {length} rows from row {starts.max()} on ends behind the {self.shape[0]} rows")
        return self.rows((starts[:, None] + np.arange(length)).ravel()).reshape(len(starts), length, *self.shape[1:])

    def _as_float(self, values: NDArray[Any], scale: NDArray[np.float32] | None) -> NDArray[np.float32]:
        """`scale` [..., D] for every frame of `values` [..., h, w, D]."""
        if scale is None:
            return values.astype(np.float32)
        between = len(self.shape) - 2  # axes of a frame before its channels
        return values * scale[(..., *[None] * between, slice(None))]
