"""How far ahead does each representation predict the reward, compared with repeating the last one?

python -m analysis.examples.horizon
"""

import polars as pl

model = pl.when(pl.col("algorithm") == "none").then("encoder").otherwise(pl.format("{}, {}", "encoder", "algorithm"))
table = pl.scan_parquet("results/summary.parquet").filter(by="look", axis="default").with_columns(model=model).collect()
wide = table.sort("horizon").pivot("model", index=["task", "horizon", "horizon_to"], values="r2")
with pl.Config(tbl_rows=-1, tbl_cols=-1, float_precision=3):
    print(wide)
