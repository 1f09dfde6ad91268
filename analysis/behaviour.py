"""What the data is made of: episodes and returns by quality of the behaviour."""

from collections.abc import Sequence

import polars as pl

QUALITIES = ("random", "medium", "replay", "expert")


def behaviour_table(task: str, quality: Sequence[str], validation: Sequence[bool], returns: Sequence[float]) -> pl.DataFrame:
    """Episodes by quality and use.

    Args:
        quality, validation, returns: one value per episode; a return is the sum of the episode's rewards.

    Returns:
        task, quality, use (training or validation), episodes, return_mean, return_min, return_max; qualities from worst to best.
    """
    table = pl.DataFrame({"quality": list(quality), "validation": list(validation), "return": [float(r) for r in returns]})
    grouped = table.group_by("quality", "validation", maintain_order=True).agg(
        pl.len().alias("episodes"),
        return_mean=pl.col("return").mean(),
        return_min=pl.col("return").min(),
        return_max=pl.col("return").max(),
    )
    use = pl.when("validation").then(pl.lit("validation")).otherwise(pl.lit("training"))
    order = pl.col("quality").replace_strict(QUALITIES, range(len(QUALITIES)), default=len(QUALITIES), return_dtype=pl.Int32)
    sorted_ = grouped.sort(order, "quality", "validation")
    return sorted_.select(pl.lit(task).alias("task"), "quality", use.alias("use"), pl.exclude("quality", "validation"))
