"""Sums of predictions by group, of a table of any size: it is read a slice at a time.

Terms are added in float64 and in row order, so the sums are the same to the bit for any number of threads and however the table
is cut into slices.
"""

from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any, TypeVar

import numpy as np
import polars as pl
from numpy.typing import NDArray

STATISTICS = ("n", "r", "rr", "p", "se", "ae")
SLICE = 1 << 18  # rows in memory at a time

Ids = NDArray[np.int64]
T = TypeVar("T")


def slices(table: pl.LazyFrame, rows: int = SLICE) -> Iterator[pl.DataFrame]:
    """The table in pieces of about `rows` rows, in order; a table without rows yields none."""
    return (piece for piece in table.collect_batches(chunk_size=rows, maintain_order=True) if len(piece))


def _ahead(items: Iterable[T]) -> Iterator[T]:
    """The items, in order; a thread makes the next one while one is used."""
    source, end = iter(items), object()
    with ThreadPoolExecutor(1) as thread:
        coming = thread.submit(next, source, end)
        while (item := coming.result()) is not end:
            coming = thread.submit(next, source, end)
            yield item  # type: ignore[misc]


def grown(values: NDArray, size: int, fill: float = 0) -> NDArray:
    """`values` [..., N], lengthened along the last axis to `size` (and half as much again, so that it seldom has to)."""
    missing = size - values.shape[-1]
    if missing <= 0:
        return values
    more = np.full((*values.shape[:-1], missing + size // 2), fill, values.dtype)
    return np.concatenate([values, more], axis=-1)


class Groups:
    """Numbers combinations of values of `keys` as they appear. It costs little where rows of equal keys follow one another."""

    def __init__(self, keys: pl.Schema) -> None:
        self._keys = keys
        self._known: dict[tuple[Any, ...], int] = {}

    def __len__(self) -> int:
        return len(self._known)

    def number(self, rows: pl.DataFrame) -> Ids:
        """int64 [N]: the number of each row's combination."""
        starts, constant = [np.zeros(1, np.int64)], dict[str, Any]()
        for name in self._keys:
            values = rows[name]
            nulls = values.null_count()
            if not nulls and (values == values[0]).all():  # cheap, and mostly enough
                constant[name] = values[0]
            elif nulls:
                starts.append(values[1:].ne_missing(values[:-1]).arg_true().to_numpy().astype(np.int64) + 1)
            else:
                starts.append(np.flatnonzero((values[1:] != values[:-1]).to_numpy()) + 1)
        first = np.unique(np.concatenate(starts)) if len(starts) > 1 else starts[0]
        columns = ([constant[name]] * len(first) if name in constant else rows[name][first].to_list() for name in self._keys)
        runs = zip(*columns, strict=True)
        group = np.array([self._known.setdefault(run, len(self._known)) for run in runs])
        return np.repeat(group, np.diff(first, append=len(rows)))

    def table(self) -> pl.DataFrame:
        """The keys of each number."""
        return pl.DataFrame(list(self._known), self._keys, orient="row")


class Sums:
    """STATISTICS by group: `n` count, `r` reward, `rr` squared reward, `p` prediction, `se` squared error, `ae` absolute error.

    A group is a combination of values of `keys` (`Groups`), and of a bin where rows are told apart further; bins may alternate
    freely.

    Args:
        keys: their names and types.
        bins: how many bins there are, W.
    """

    def __init__(self, keys: pl.Schema, bins: int = 1) -> None:
        self._keys, self._bins = keys, bins
        self._groups = Groups(keys)  # K in all
        self._sums = np.zeros((len(STATISTICS), 0))  # [statistics, >= size]
        self.size = 0  # K * W of the rows that were added

    def add(self, rows: pl.DataFrame, bin: Ids | None = None) -> Ids:
        """Add N further rows.

        Args:
            rows: `keys`, `reward` and `reward_pred`.
            bin: int64 [N], each in [0, W).

        Returns:
            int64 [N], the row's group and bin as one number below `size`.
        """
        ids, size = self._number(rows, bin)
        self._sum(rows, ids, size)
        return ids

    def add_each(self, pieces: Iterable[tuple[pl.DataFrame, Ids | None]]) -> Iterator[tuple[pl.DataFrame, Ids]]:
        """`add` every piece (its rows and bins) and yield it with its numbers; the next one is read and numbered meanwhile."""
        for rows, (ids, size) in _ahead((rows, self._number(rows, bin)) for rows, bin in pieces):
            self._sum(rows, ids, size)
            yield rows, ids

    def _number(self, rows: pl.DataFrame, bin: Ids | None) -> tuple[Ids, int]:
        """The numbers, and how many there are with those of all rows before."""
        ids = self._groups.number(rows) * self._bins
        if bin is not None:
            ids += bin
        return ids, self._bins * len(self._groups)

    def _sum(self, rows: pl.DataFrame, ids: Ids, size: int) -> None:
        self.size = size
        self._sums = grown(self._sums, size)
        reward, predicted = (rows[name].cast(pl.Float64).to_numpy() for name in ("reward", "reward_pred"))
        error = predicted - reward
        terms = (1.0, reward, reward**2, predicted, error**2, np.abs(error))
        for total, term in zip(self._sums, terms, strict=True):
            np.add.at(total, ids, term)

    def table(self, **more: NDArray) -> pl.DataFrame:
        """The groups that have rows, sorted: `keys`, `bin`, STATISTICS, and `more`, values [size] by `add`'s numbers."""
        bins = pl.DataFrame({"bin": pl.Series(range(self._bins), dtype=pl.Int64)})
        columns = dict(zip(STATISTICS, self._sums[:, : self.size], strict=True)) | more
        return (
            self._groups.table()
            .join(bins, how="cross", maintain_order="left_right")
            .with_columns(pl.Series(name, values) for name, values in columns.items())
            .filter(pl.col("n") > 0)
            .sort(*self._keys, "bin")
        )
