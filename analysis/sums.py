"""From one row per prediction to per-episode sums: all that any error figure needs, small enough to resample.

An episode is the unit that is resampled (its steps are not independent), so nothing is averaged before this level.
"""

from collections.abc import Sequence

import numpy as np
import polars as pl

from datasets.errors import DataError

STATISTICS = ("n", "r", "rr", "p", "se", "ae")
MODEL = ("encoder", "algorithm", "seed", "task")
EPISODE = (*MODEL, "variant", "axis", "severity", "split", "quality", "episode")


def add_up(rows: pl.DataFrame, keys: Sequence[str]) -> pl.DataFrame:
    """Sums over each group of predictions, in float64 and in row order (so bit for bit the same for any number of threads).

    Returns:
        `keys` (sorted), then STATISTICS: `n` count, `r` reward, `rr` squared reward, `p` prediction, `se` squared error,
        `ae` absolute error.
    """
    groups = rows.select(keys).unique().sort(keys).with_row_index("group")
    group = rows.select(keys).join(groups, on=list(keys), how="left", maintain_order="left")["group"].to_numpy()
    reward, predicted = (rows[name].cast(pl.Float64).to_numpy() for name in ("reward", "reward_pred"))
    error = predicted - reward
    terms = (np.ones_like(reward), reward, reward**2, predicted, error**2, np.abs(error))
    sums = {name: np.bincount(group, term, len(groups)) for name, term in zip(STATISTICS, terms, strict=True)}
    return groups.drop("group").with_columns(pl.Series(name, values) for name, values in sums.items())


def with_horizon_bins(rows: pl.DataFrame, short: int) -> pl.DataFrame:
    """Replace `horizon` by the bin's first and add `horizon_to`, its last: every horizon up to `short` alone, then octaves."""
    horizons = rows["horizon"].unique().sort()
    first = [h if h <= short else (short + 1) << ((h // (short + 1)).bit_length() - 1) for h in horizons]
    last = [h if h <= short else 2 * f - 1 for h, f in zip(horizons, first, strict=True)]
    return rows.with_columns(
        pl.col("horizon").replace_strict(horizons, first, return_dtype=pl.Int32),
        pl.col("horizon").replace_strict(horizons, last, return_dtype=pl.Int32).alias("horizon_to"),
    )


def episode_sums(part: pl.LazyFrame, short: int) -> pl.DataFrame:
    """Sums per model, look, episode and horizon bin.

    Args:
        part: the columns of `tables.REWARD_ERROR`, all or some models.
        short: horizons up to this one were predicted from every start, and are kept apart; longer ones are binned.

    Returns:
        Columns of EPISODE, `horizon`, `horizon_to`, STATISTICS.

    Raises:
        DataError: the part has no rows, a prediction is not finite or appears twice.
    """
    rows = part.collect()
    if rows.is_empty():
        raise DataError("a reward-error table has no rows; run evaluate again")
    broken = rows.filter(~pl.col("reward_pred").is_finite().fill_null(False))
    if len(broken):
        raise DataError(f"{_where(broken)}: a reward prediction is missing or not finite; train again")
    single = rows.filter(pl.col("horizon") <= short)
    span = pl.col("t").max() - pl.col("t").min() + 1
    twice = single.group_by(*EPISODE, "horizon").agg(pl.len().alias("n"), span.alias("span")).filter(pl.col("n") > pl.col("span"))
    if len(twice):
        raise DataError(f"{_where(twice.sort(EPISODE))}: a prediction appears twice; run evaluate again")
    return add_up(with_horizon_bins(rows, short), [*EPISODE, "horizon", "horizon_to"])


def bin_sums(part: pl.LazyFrame, low: float, high: float, bins: int) -> pl.DataFrame:
    """Sums of filtering predictions (horizon 0) per model, look, episode and bin of the true reward.

    Args:
        part: the columns of `tables.REWARD_ERROR`.
        low, high, bins: the bins are equally wide between these two rewards.

    Returns:
        Columns of EPISODE, `reward_from`, `reward_to`, STATISTICS.
    """
    width = (high - low) / bins if high > low else 1.0
    index = ((pl.col("reward").cast(pl.Float64) - low) / width).floor().clip(0, bins - 1)
    rows = part.filter(pl.col("horizon") == 0).with_columns(reward_from=low + index * width, reward_to=low + (index + 1) * width)
    return add_up(rows.collect(), [*EPISODE, "reward_from", "reward_to"])


def check_paired(sums: pl.DataFrame) -> None:
    """That every model predicted the same rewards of a task under the same looks, so that they can be compared.

    Raises:
        DataError: names a model that predicted fewer than another.
    """
    usual = pl.col("n").max().over("task", "variant", "episode", "horizon")
    fewer = sums.filter(pl.col("n") != usual)
    asked = sums.group_by(MODEL).agg(pl.len().alias("groups"))
    fewer = fewer if len(fewer) else asked.filter(pl.col("groups") != pl.col("groups").max().over("task"))
    if len(fewer):
        raise DataError(f"{_where(fewer.sort(MODEL))} predicts fewer rewards than another model; run evaluate for both again")


def _where(rows: pl.DataFrame) -> str:
    row = rows.row(0, named=True)
    look = f", look {row['variant']}, episode {row['episode']}, horizon {row['horizon']}" if "variant" in row else ""
    return f"reward error of {row['encoder']} on {row['task']} ({row['algorithm']}, seed {row['seed']}{look})"
