"""What a bootstrap resample holds: how often each unit was drawn, within its stratum."""

import numpy as np
import polars as pl
from numpy.typing import NDArray

from analysis.resample import Array, Resampling

Ids = NDArray[np.int64]


def counts(strata: Ids, how: Resampling) -> Array:
    """How often each of U units is drawn: with replacement, from its own stratum, as often as that has units.

    Args:
        strata: int64 [U], the stratum of each unit.

    Returns:
        float64 [resamples, U], the same for the same arguments.
    """
    rng = np.random.Generator(np.random.PCG64(how.seed))
    drawn = np.empty((how.resamples, len(strata)))
    for stratum in np.unique(strata):
        members = np.flatnonzero(strata == stratum)
        drawn[:, members] = rng.multinomial(len(members), np.full(len(members), 1 / len(members)), size=how.resamples)
    return drawn


def codes(table: pl.DataFrame, *columns: str) -> Ids:
    """int64 [N]: rows numbered by their combination of `columns`, from 0, in order of appearance."""
    groups = table.select(columns).unique(maintain_order=True).with_row_index("code")
    joined = table.select(columns).join(groups, on=list(columns), how="left", nulls_equal=True, maintain_order="left")
    return joined["code"].cast(pl.Int64).to_numpy()
