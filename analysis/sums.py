"""From one row per prediction to per-episode sums: all that any error figure needs, small enough to resample.

An episode is the unit that is resampled (its steps are not independent), so nothing is averaged before this level.
"""

from collections.abc import Sequence

import numpy as np
import polars as pl

from analysis.accumulate import STATISTICS, Ids, Sums, grown, slices
from datasets.errors import DataError

__all__ = ["EPISODE", "MODEL", "STATISTICS", "add_up", "bin_sums", "check_paired", "episode_sums", "with_horizon_bins"]

MODEL = ("encoder", "algorithm", "seed", "task")
EPISODE = (*MODEL, "variant", "axis", "severity", "split", "quality", "episode")


def add_up(rows: pl.DataFrame, keys: Sequence[str]) -> pl.DataFrame:
    """Sums over each group of predictions: `keys` (sorted), STATISTICS (`accumulate.Sums`)."""
    sums = Sums(rows.select(keys).schema)
    sums.add(rows)
    return sums.table().drop("bin")


def horizon_bins(short: int, longest: int) -> tuple[Ids, Ids]:
    """First and last horizon of each bin [W]: every horizon up to `short` alone, then octaves."""
    first, last = list(range(short + 1)), list(range(short + 1))
    while last[-1] < longest:
        first.append(last[-1] + 1)
        last.append(2 * first[-1] - 1)
    return np.array(first), np.array(last)


def with_horizon_bins(rows: pl.DataFrame, short: int) -> pl.DataFrame:
    """Replace `horizon` by the first of its bin and add `horizon_to`, the bin's last."""
    horizon = rows["horizon"].to_numpy()
    first, last = horizon_bins(short, int(horizon.max(initial=0)))
    return _with_ends(rows, np.searchsorted(first, horizon, side="right") - 1, first, last)


def episode_sums(part: pl.LazyFrame, short: int, keys: Sequence[str] = EPISODE) -> pl.DataFrame:
    """Sums per episode, look and model (or whatever `keys` say) and horizon bin.

    Args:
        part: the columns of `tables.REWARD_ERROR`, all or some models; of any size, it is read a slice at a time.
        short: horizons up to this one were predicted from every start, and are kept apart; longer ones are binned.
        keys: with fewer of them less is read; without `variant`, a prediction that appears twice goes unnoticed.

    Returns:
        `keys`, `horizon`, `horizon_to`, STATISTICS.

    Raises:
        DataError: the part has no rows, a prediction is not finite or appears twice.
    """
    longest = part.select(pl.col("horizon").max()).collect().item()
    if longest is None:
        raise DataError("a reward-error table has no rows; run evaluate again")
    first, last = horizon_bins(short, longest)
    bin_of = np.searchsorted(first, np.arange(longest + 1), side="right") - 1
    apart = "variant" in keys  # else several predictions of one t are to be expected
    sums = Sums(part.select(keys).collect_schema(), len(first))
    earliest = latest = np.zeros(0, np.int32)
    pieces = slices(part.select(*keys, *["t"] * apart, "horizon", "reward", "reward_pred"))
    for rows, ids in sums.add_each((rows, bin_of[rows["horizon"].to_numpy()]) for rows in pieces):
        earliest, latest = grown(earliest, sums.size, np.iinfo(np.int32).max), grown(latest, sums.size)
        if apart:
            t = rows["t"].to_numpy()
            np.minimum.at(earliest, ids, t)
            np.maximum.at(latest, ids, t)
    table = sums.table(span=(latest - earliest)[: sums.size] + 1)
    table = _with_ends(table, table["bin"].to_numpy(), first, last)
    broken = table.filter(~pl.col("p").is_finite())
    if len(broken):
        raise DataError(f"{_where(broken)}: a reward prediction is missing or not finite; train again")
    twice = table.filter(apart, pl.col("horizon") <= short, pl.col("n") > pl.col("span"))
    if len(twice):
        raise DataError(f"{_where(twice)}: a prediction appears twice; run evaluate again")
    return table.select(*keys, "horizon", "horizon_to", *STATISTICS)


def _with_ends(rows: pl.DataFrame, bin: Ids, first: Ids, last: Ids) -> pl.DataFrame:
    """Rows with `horizon` and `horizon_to` of their bin, int64 [N]."""
    ends = {"horizon": first[bin], "horizon_to": last[bin]}
    return rows.with_columns(pl.Series(name, values, pl.Int32) for name, values in ends.items())


def bin_sums(part: pl.LazyFrame, low: float, high: float, bins: int) -> pl.DataFrame:
    """Sums of filtering predictions (horizon 0) per model, look, episode and bin of the true reward.

    Args:
        part: the columns of `tables.REWARD_ERROR`.
        low, high, bins: the bins are equally wide between these two rewards.

    Returns:
        Columns of EPISODE, `reward_from`, `reward_to`, STATISTICS.
    """
    width = (high - low) / bins if high > low else 1.0
    sums = Sums(part.select(EPISODE).collect_schema(), bins)
    for rows in slices(part.filter(pl.col("horizon") == 0).select(*EPISODE, "reward", "reward_pred")):
        index = ((rows["reward"].cast(pl.Float64) - low) / width).floor().clip(0, bins - 1)
        sums.add(rows, index.cast(pl.Int64).to_numpy())
    number = pl.col("bin").cast(pl.Float64)
    table = sums.table().with_columns(reward_from=low + number * width, reward_to=low + (number + 1) * width)
    return table.select(*EPISODE, "reward_from", "reward_to", *STATISTICS)


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
