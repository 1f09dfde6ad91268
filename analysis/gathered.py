"""Predictions at a few horizons in memory, 20 bytes each, for what one pass cannot measure: ranks, and seeds compared."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import polars as pl
from numpy.typing import NDArray

from analysis.accumulate import Groups, Ids, slices
from analysis.resample import Array
from analysis.sums import MODEL

LOOK = ("axis", "severity", "split")
KEYS = (*MODEL, "variant", *LOOK, "episode")


@dataclass(frozen=True)
class Gathered:
    """N predictions of U units; a unit is one model's predictions of one episode under one look at one horizon.

    Attributes:
        units: MODEL, variant, LOOK, episode, horizon; U rows, some may have no prediction.
        unit: int64 [N]. t: int32 [N], the step predicted. reward, predicted: float32 [N].
    """

    units: pl.DataFrame
    unit: Ids
    t: NDArray[np.int32]
    reward: NDArray[np.float32]
    predicted: NDArray[np.float32]

    def sums(self, **terms: Array) -> pl.DataFrame:
        """`units` that have predictions, with `n` and the sum of each term [N], added in the order of rows."""
        count = np.bincount(self.unit, minlength=len(self.units))
        totals = {name: np.bincount(self.unit, term, len(self.units)) for name, term in terms.items()}
        return self.units.with_columns(n=count.astype(np.float64), **totals).filter(pl.col("n") > 0)


def gather(part: pl.LazyFrame, horizons: Sequence[int]) -> Gathered:
    """The predictions at `horizons` (ascending) of `part`, which has the columns of `tables.REWARD_ERROR`."""
    wanted = np.array(horizons)
    groups = Groups(part.select(KEYS).collect_schema())
    pieces: list[tuple[NDArray, ...]] = [tuple(np.zeros(0, kind) for kind in (np.int64, np.int32, np.float32, np.float32))]
    chosen = part.filter(pl.col("horizon").is_in(list(horizons))).select(*KEYS, "t", "horizon", "reward", "reward_pred")
    for rows in slices(chosen):
        unit = groups.number(rows) * len(wanted) + np.searchsorted(wanted, rows["horizon"].to_numpy())
        pieces.append((unit, *(rows[name].to_numpy() for name in ("t", "reward", "reward_pred"))))
    at = pl.DataFrame({"horizon": pl.Series(horizons, dtype=pl.Int32)})
    units = groups.table().join(at, how="cross", maintain_order="left_right")
    return Gathered(units, *(np.concatenate(column) for column in zip(*pieces, strict=True)))
