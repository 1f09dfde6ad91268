"""Reward error accumulated over an open-loop rollout, as in arXiv 2411.10175: |r - r_hat| summed over steps.

    python -m analysis.examples.accumulated

Every start that was predicted for at least 33 steps counts, under the default look.
"""

import polars as pl

STEPS = 33
start = ["encoder", "task", "algorithm", "seed", "episode", "start"]
error = (pl.col("reward_pred") - pl.col("reward")).abs()
rows = pl.scan_parquet("results/reward_error.parquet").filter(pl.col("axis") == "default", pl.col("horizon").is_between(1, STEPS))
sums = rows.with_columns(start=pl.col("t") - pl.col("horizon")).group_by(start).agg(error=error.sum(), steps=pl.len())
whole = sums.filter(steps=STEPS).group_by("encoder", "task", "algorithm").agg(pl.col("error").mean(), starts=pl.len())
print(whole.sort("task", "error").collect())
