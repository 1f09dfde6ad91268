"""Many tests at once: p-values corrected for how many there are."""

import numpy as np
import polars as pl
from scipy import stats

from analysis.resample import Array


def holm(p: Array) -> Array:
    """Holm 1979: the probability of any false positive stays below the level. [N] -> [N]."""
    order = np.argsort(p)
    stepped = np.maximum.accumulate(p[order] * np.arange(len(p), 0, -1))
    adjusted = np.empty(len(p))
    adjusted[order] = np.minimum(stepped, 1)
    return adjusted


def benjamini_hochberg(p: Array) -> Array:
    """Benjamini and Hochberg 1995: the share of false positives among the positives stays below the level. [N] -> [N]."""
    return stats.false_discovery_control(p, method="bh")


def corrected(table: pl.DataFrame) -> pl.DataFrame:
    """`table` with `p_holm` and `p_bh` of its column `p`; the rows are the family. Undefined p are left out, and stay null."""
    p = table["p"].fill_null(np.nan).to_numpy()
    known = np.isfinite(p)
    columns = {}
    for name, method in (("p_holm", holm), ("p_bh", benjamini_hochberg)):
        values = np.full(len(p), np.nan)
        values[known] = method(p[known])
        columns[name] = pl.Series(values).fill_nan(None)
    return table.with_columns(**columns)
