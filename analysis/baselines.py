"""What needs no model: predictions that a reward head must beat, on the very rows it is judged by."""

import polars as pl

from analysis.sums import EPISODE, add_up, with_horizon_bins

REPEAT_LAST = "repeat_last"
PREDICT_MEAN = "predict_mean"
BASELINES = (PREDICT_MEAN, REPEAT_LAST)


def baseline_sums(part: pl.LazyFrame, short: int) -> pl.DataFrame:
    """Sums, as of `sums.episode_sums`, of two baselines, which stand in the columns as encoders of algorithm "none", seed 0.

    - `predict_mean`: the mean of the evaluated rewards of the same horizon (not of the training set's), so its R2 is 0.
    - `repeat_last`: the last reward to arrive by the context's end, reward[t - h], and reward[t - 1] for filtering (h = 0),
      where the reward at the context's end is the answer. A context of the first step alone has seen none: it says 0.

    Args:
        part: the columns of `tables.REWARD_ERROR`; one model's rows are used, for the baselines depend on no model and no look.
        short: as of `sums.episode_sums`.
    """
    default = part.filter(pl.col("axis") == "default").collect()
    one = default.filter(pl.col("seed") == default["seed"].min(), pl.col("algorithm") == default["algorithm"].min()).with_columns(
        encoder=pl.lit(REPEAT_LAST), algorithm=pl.lit("none"), seed=pl.lit(0, pl.Int64)
    )
    arrived = one.filter(pl.col("horizon") == 0).select(
        "task", "episode", pl.col("t").alias("last_t"), pl.col("reward").alias("last")
    )
    repeated = (
        one.with_columns(last_t=pl.col("t") - pl.max_horizontal(pl.col("horizon"), pl.lit(1, pl.Int32)))
        .join(arrived, on=["task", "episode", "last_t"], how="left", maintain_order="left")
        .with_columns(reward_pred=pl.col("last").fill_null(0.0))
        .drop("last", "last_t")
    )
    binned = with_horizon_bins(repeated, short)
    means = add_up(binned, ["task", "horizon"]).select("task", "horizon", mean=pl.col("r") / pl.col("n"))
    averaged = binned.join(means, on=["task", "horizon"], how="left", maintain_order="left").with_columns(
        encoder=pl.lit(PREDICT_MEAN), reward_pred=pl.col("mean")
    )
    return pl.concat([add_up(rows, [*EPISODE, "horizon", "horizon_to"]) for rows in (averaged, binned)])
