"""What a representation costs: seconds to encode, bytes, seconds an update, and return for an hour of fine-tuning.

    python -m analysis.examples.costs

Encoders are called as they were selected; `random` is `random_cnn` in the other tables.
"""

import polars as pl

costs = pl.read_parquet("results/costs.parquet").with_columns(path=pl.col("out").str.split("/"))
last = pl.col("env_steps") == pl.col("env_steps").max().over("encoder", "task")
online = pl.read_parquet("results/online.parquet").filter(arm="online", axis="default").filter(last)
scores = online.group_by("encoder", "task").agg(pl.col("return").mean())
learning = pl.read_parquet("results/learning.parquet").group_by("encoder", "task")
updates = learning.agg(pl.col("update").max(), pl.col("seed").n_unique())


def stage(name: str, task: int, encoder: int, *values: pl.Expr) -> pl.DataFrame:
    """Sums over one stage's outputs, by the places of task and encoder in their paths."""
    place = pl.col("path").list
    own = costs.filter(stage=name).with_columns(task=place.get(task), encoder=place.get(encoder).replace("random", "random_cnn"))
    return own.group_by("task", "encoder").agg(value.sum() for value in values)


table = stage("encode", 2, 3, pl.col("wall_s").alias("encode_s"), pl.col("bytes"))
for name, places, column in (("train", (1, 2), "train_s"), ("finetune", (3, 2), "finetune_s")):
    table = table.join(stage(name, *places, pl.col("wall_s").alias(column)), on=["task", "encoder"], how="full", coalesce=True)
table = table.join(updates, on=["task", "encoder"], how="left").join(scores, on=["task", "encoder"], how="left")
update_s = pl.col("train_s") / (pl.col("update") * pl.col("seed"))
hourly = pl.col("return") / (pl.col("finetune_s") / 3600)
print(table.select("task", "encoder", "encode_s", "bytes", update_s=update_s, return_an_hour=hourly).sort("task", "encoder"))
