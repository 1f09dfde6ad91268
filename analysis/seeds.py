"""Mean squared error in two: what all seeds get wrong alike, and what differs from seed to seed (Geman et al. 1992).

With S seeds, m the mean of their predictions of one reward r and v the unbiased variance of those predictions, (m - r)^2 - v / S
is an unbiased estimate of the squared bias of the mean over all possible seeds, and v of the variance. Both are averaged over
predictions. With S seeds, squared bias + variance is the mean squared error of one seed, exactly.
"""

import numpy as np
import polars as pl

from analysis.figure import Figure
from analysis.gathered import Gathered
from analysis.statistics.draws import codes
from datasets.errors import DataError

STATISTICS = ("n", "bias2", "variance")
_ACROSS = ("encoder", "algorithm", "task", "variant", "axis", "severity", "split", "episode", "horizon")


def split(rows: Gathered) -> pl.DataFrame:
    """Sums of both over the predictions of an episode.

    Returns:
        `_ACROSS`, seed (0: they are all in one), STATISTICS and `of` (how many seeds there are). Of one seed both are nan.

    Raises:
        DataError: the seeds of a representation did not predict the same rewards.
    """
    across = codes(rows.units, *_ACROSS)
    order = np.lexsort((rows.units["seed"].to_numpy()[rows.unit], rows.t, across[rows.unit]))
    unit, t = across[rows.unit][order], rows.t[order]
    first = np.flatnonzero(np.concatenate([[True], (np.diff(unit) != 0) | (np.diff(t) != 0)])[: len(unit)])
    of = np.diff(np.append(first, len(unit)))  # predictions of one reward
    keys = rows.units.select(*_ACROSS).unique(maintain_order=True)
    cell = codes(keys, "encoder", "algorithm", "task")[unit[first]]
    seeds = rows.units.group_by("encoder", "algorithm", "task", maintain_order=True).agg(pl.col("seed").n_unique())["seed"]
    if (of != seeds.to_numpy()[cell]).any():
        raise DataError("the seeds of a representation did not predict the same rewards; run evaluate again")
    predicted, reward = rows.predicted[order].astype("f8"), rows.reward[order][first].astype("f8")
    mean = np.add.reduceat(predicted, first) / of if len(first) else np.zeros(0)
    apart = np.add.reduceat((predicted - np.repeat(mean, of)) ** 2, first) if len(first) else np.zeros(0)
    with np.errstate(all="ignore"):
        variance = apart / np.where(of > 1, of - 1, np.nan)
    sums = {"bias2": (mean - reward) ** 2 - variance / of, "variance": variance}
    totals = {name: np.bincount(unit[first], values, len(keys)) for name, values in sums.items()}
    count = np.bincount(unit[first], minlength=len(keys)).astype("f8")
    per_key = np.zeros(len(keys), np.int64)
    per_key[unit[first]] = of
    return keys.with_columns(pl.lit(0, pl.Int64).alias("seed"), n=count, **totals, of=per_key).filter(pl.col("n") > 0)


FIGURES = {
    "seed_bias2": Figure(lambda sums: sums["bias2"] / sums["n"]),
    "seed_variance": Figure(lambda sums: sums["variance"] / sums["n"]),
}
