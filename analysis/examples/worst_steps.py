"""Where a look hurts most: the steps whose filtered reward moved furthest from the default look's prediction.

python -m analysis.examples.worst_steps
"""

import polars as pl

step = ["encoder", "task", "algorithm", "seed", "episode", "t"]
rows = pl.scan_parquet("results/reward_error.parquet").filter(horizon=0)
default = rows.filter(axis="default").select(*step, seen_by_default="reward_pred")
moved = rows.filter(pl.col("axis") != "default").join(default, on=step)
shift = (pl.col("reward_pred") - pl.col("seen_by_default")).abs()
worst = moved.with_columns(shift=shift).sort("shift", descending=True).group_by(*step[:3], "axis").head(1).sort(*step[:3], "axis")
with pl.Config(tbl_rows=-1, tbl_cols=-1):
    print(worst.select(*step[:3], "variant", "quality", "episode", "t", "reward", "seen_by_default", "reward_pred").collect())
