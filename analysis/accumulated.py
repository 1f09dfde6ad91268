"""Error accumulated over an open-loop rollout, as in arXiv 2411.10175: |reward - prediction| summed over the steps from a start.

Over a number of steps (33 in the paper) from every start that was predicted so far; and over the whole episode, from the start of
each episode that was predicted the furthest, its first. In reward, not reward a step.
"""

import numpy as np
import polars as pl

from analysis.accumulate import Groups, grown, slices
from analysis.confidence import LOG
from analysis.figure import Figure
from analysis.gathered import KEYS

STEPS = 33
STATISTICS = ("n", "ae")


def per_start(part: pl.LazyFrame, steps: int) -> pl.DataFrame:
    """Sums of |error| from every start, a slice of `part` at a time.

    Returns:
        KEYS, start (step that the context ends at), near and near_ae (predictions 1..`steps` ahead, and their sum), all and
        all_ae (those of any horizon above 0), furthest (the largest horizon).
    """
    longest = part.select(pl.col("t").max()).collect().item() or 0
    groups, width = Groups(part.select(KEYS).collect_schema()), longest + 1
    sums, furthest = np.zeros((4, 0)), np.zeros(0, np.int32)
    ahead = part.filter(pl.col("horizon") > 0).select(*KEYS, "t", "horizon", "reward", "reward_pred")
    for rows in slices(ahead):
        horizon = rows["horizon"].to_numpy()
        index = groups.number(rows) * width + (rows["t"].to_numpy() - horizon)
        sums, furthest = grown(sums, len(groups) * width), grown(furthest, len(groups) * width)
        error = np.abs(rows["reward_pred"].to_numpy().astype("f8") - rows["reward"].to_numpy())
        near = (horizon <= steps).astype("f8")
        for total, term in zip(sums, (near, near * error, 1.0, error), strict=True):
            np.add.at(total, index, term)
        np.maximum.at(furthest, index, horizon)
    size = len(groups) * width
    filled = np.flatnonzero(sums[2, :size])
    columns = dict(zip(("near", "near_ae", "all", "all_ae"), sums[:, filled], strict=True))
    starts = {"start": filled % width, **columns, "furthest": furthest[filled]}
    return pl.concat([groups.table()[filled // width], pl.DataFrame(starts)], how="horizontal")


def near(starts: pl.DataFrame, steps: int) -> pl.DataFrame:
    """KEYS, horizon (`steps`), STATISTICS, over the starts that were predicted `steps` ahead."""
    return _summed(starts.filter(pl.col("near") == steps), "near_ae").with_columns(horizon=pl.lit(steps, pl.Int32))


def whole(starts: pl.DataFrame) -> pl.DataFrame:
    """KEYS, horizon (the longest of the representation on the task), STATISTICS, of one start an episode."""
    longest = starts.filter(pl.col("furthest") == pl.col("furthest").max().over(KEYS), pl.col("all") == pl.col("furthest"))
    labelled = _summed(longest, "all_ae", pl.col("furthest").max())
    return labelled.with_columns(horizon=pl.col("furthest").max().over("encoder", "algorithm", "task")).drop("furthest")


def _summed(starts: pl.DataFrame, error: str, *more: pl.Expr) -> pl.DataFrame:
    chosen = starts.sort(*KEYS, "start", nulls_last=True)
    return chosen.group_by(KEYS, maintain_order=True).agg(
        pl.len().cast(pl.Float64).alias("n"), pl.col(error).sum().alias("ae"), *more
    )


FIGURE = Figure(lambda sums: sums["ae"] / sums["n"], scale=LOG)
