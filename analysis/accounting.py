"""What each representation cost: encoding, storage, training, and the return that an hour of fine-tuning brought."""

from collections.abc import Mapping

import polars as pl

from analysis.online import ends

COSTLY = ("encode", "train", "finetune")  # stages
_SCHEMA: dict[str, pl.DataType] = {
    "encoder": pl.String(), "task": pl.String(), "algorithm": pl.String(),
    "encode_cpu_s": pl.Float64(), "stored_mb": pl.Float64(),
    "update_ms": pl.Float64(), "train_cpu_s": pl.Float64(), "online_wall_s": pl.Float64(), "return_gained_per_hour": pl.Float64(),
}  # fmt: skip


def accounting(
    costs: pl.DataFrame,
    names: Mapping[str, str],
    learning: pl.DataFrame,
    online: pl.DataFrame,
) -> pl.DataFrame:
    """One row per representation, task and algorithm; what was not measured is null.

    Args:
        costs: `tables.COSTS`: what the stages took that made the outputs in the tree. Of an output that came from a cache, what
            it took where it was made is known only if it was this machine.
        names: name in the outputs' paths -> canonical name.
        learning, online: `tables.LEARNING`, `tables.ONLINE`.

    Returns:
        encoder, task, algorithm, encode_cpu_s, stored_mb (MB of 10^6 bytes), update_ms (CPU time of an update), train_cpu_s
        (of a model), online_wall_s, return_gained_per_hour (last minus first evaluation's return over the hours of the stage,
        controls and evaluations included).
    """
    cell = ["encoder", "task", "algorithm"]
    updates = learning.group_by(cell).agg(pl.col("update").max().alias("updates"), pl.col("seed").n_unique().alias("models"))
    parts = pl.col("out").str.split("/")

    def of(stage: str, places: Mapping[str, int]) -> pl.DataFrame:
        chosen = costs.filter(pl.col("stage") == stage).select(
            *(parts.list.get(at, null_on_oob=True).alias(name) for name, at in places.items()), "wall_s", "cpu_s", "bytes"
        )
        return chosen.filter(pl.col("encoder").is_in(list(names))).with_columns(pl.col("encoder").replace(names))

    encode = of("encode", {"task": 2, "encoder": 3}).select(
        "encoder", "task", encode_cpu_s="cpu_s", stored_mb=pl.col("bytes") / 1e6
    )
    train = of("train", {"task": 1, "encoder": 2, "algorithm": 3}).select(*cell, "cpu_s")
    finetune = of("finetune", {"encoder": 2, "task": 3, "algorithm": 4}).select(*cell, online_wall_s="wall_s")
    gained = ends(online).select(*cell, gained=pl.col("last") - pl.col("first"))
    table = (
        updates.join(encode, on=["encoder", "task"], how="left")
        .join(train, on=cell, how="left")
        .join(finetune, on=cell, how="left")
        .join(gained, on=cell, how="left")
        .with_columns(
            train_cpu_s=pl.col("cpu_s") / pl.col("models"),
            update_ms=1000 * pl.col("cpu_s") / (pl.col("models") * pl.col("updates")),
            return_gained_per_hour=3600 * pl.col("gained") / pl.col("online_wall_s"),
        )
    )
    return table.select(pl.col(name).cast(dtype) for name, dtype in _SCHEMA.items()).sort(cell)
