"""Stored tokens read as float32, however they are stored: mapped, compressed, or rounded to int8."""

from pathlib import Path
from typing import Any

import numpy as np
import zarr
from numpy.typing import NDArray

from datasets.embedding_shards import ERROR, SCALE, TOKENS
from datasets.embeddings import load_embeddings, map_embeddings
from datasets.manifest import verify
from datasets.mapped import MappedRows, can_map


class StoredTokens:
    """One look's `tokens` [T, h, w, D] or `hidden` [T, N, D], read where they lie.

    Attributes:
        shape: (T, ..., D).
        attributes: what made them.
        error: float32 [T], of int8 ones, root mean square of what rounding lost over that of what was there; else None.
    """

    def __init__(self, folder: Path, variant: str, array: str = TOKENS) -> None:
        """
        Args:
            folder: `data/embeddings/TASK/ENCODER`; the array's checksums are verified here, once.
            variant: the look.
            array: `tokens` or `hidden`.

        Raises:
            DataError: the array is missing or damaged.
        """
        path = folder / f"{variant}.zarr" / array
        self._values: Any
        if can_map(path):
            stored = map_embeddings(folder, variant, array)
            self._values, self.shape, self.attributes = stored.values, stored.values.shape, stored.attributes
        else:
            verify(folder, only=(f"{variant}.zarr/zarr.json", f"{variant}.zarr/{array}/"))
            self._values = zarr.open_array(path, mode="r")
            self.shape, self.attributes = self._values.shape, dict(self._values.attrs)
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

    def windows(self, starts: NDArray[np.int64], length: int) -> NDArray[np.float32]:
        """float32 [B, L, ..., D]: rows `start` to `start + length` of every start.

        Raises:
            IndexError: a window ends behind the last row.
        """
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
