"""Does return go with reward error? Pearson's and Spearman's correlation with intervals, also within tasks.

    python -m analysis.examples.return_against_error

A point is one representation on one task; whole representations are resampled. Needs several that were fine-tuned: see
docs/study.md, which also says how to run this in the folder of a comparison.
"""

import polars as pl

from analysis.resample import Resampling
from analysis.statistics.correlation import correlations

run = ["encoder", "task", "algorithm", "seed"]
rows = pl.scan_parquet("results/reward_error.parquet").filter(pl.col("axis") == "default", pl.col("horizon") > 0)
error = rows.group_by(run).agg(error=(pl.col("reward_pred") - pl.col("reward")).abs().mean()).collect()
online = pl.read_parquet("results/online.parquet").filter(arm="online", axis="default").sort("env_steps")
both = error.join(online.group_by(run).agg(pl.col("return").last()), on=run)
print(correlations(both, "error", "return", Resampling(resamples=2000, confidence=0.95, seed=0)))
