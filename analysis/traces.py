"""Predicted against true reward over time, for one validation episode of each behaviour quality."""

import polars as pl

TRACE_KEYS = ("task", "algorithm", "encoder", "variant", "axis", "severity", "quality", "episode", "t")


def traces(part: pl.LazyFrame, short: int) -> pl.DataFrame:
    """One episode (the first) of each quality, under the default look and the strongest look of every axis, by the first seed.

    Args:
        part: the columns of `tables.REWARD_ERROR`, of one model.
        short: horizons above it were predicted from few starts only; the first such start is the one shown.

    Returns:
        TRACE_KEYS, `reward`, `filtering` (predicted with the observation of the same step) and `open_loop` (predicted from
        one start onwards; null before it).
    """
    looks = (
        part.select("axis", "variant", "severity")
        .unique()
        .collect()
        .sort("axis", "severity", "variant", descending=[False, True, False])
    )
    episodes = part.select("quality", "episode").unique().collect().sort("quality", "episode")
    rows = part.filter(
        pl.col("seed") == pl.col("seed").min(),
        pl.col("variant").is_in(looks.unique("axis", keep="first")["variant"].to_list()),
        pl.col("episode").is_in(episodes.unique("quality", keep="first")["episode"].to_list()),
    ).collect()
    start = pl.col("t") - pl.col("horizon")
    first = rows.filter(pl.col("horizon") > short).group_by("episode").agg(start.min().alias("start"))
    followed = rows.join(first, on="episode").filter(start == pl.col("start"), pl.col("horizon") > 0)
    keys = [*TRACE_KEYS, "reward"]
    filtering = rows.filter(pl.col("horizon") == 0).select(*keys, filtering="reward_pred")
    open_loop = followed.select(*TRACE_KEYS, open_loop="reward_pred")
    return filtering.join(open_loop, on=list(TRACE_KEYS), how="left").sort(TRACE_KEYS)
