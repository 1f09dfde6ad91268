"""Returns of online fine-tuning, beside the policy that never acted, the one that began with nothing, and the expert."""

import polars as pl
from scipy import stats

ONLINE_ARM, OFFLINE_ARM, NOTHING_ARM = "online", "offline_only", "from_nothing"
_CELL = ["encoder", "algorithm", "task"]


def curves(online: pl.DataFrame, arm: str = ONLINE_ARM) -> pl.DataFrame:
    """Mean return by representation and agent step of one arm, over seeds, under the default look.

    Returns:
        encoder, algorithm, task, env_steps, return, low, high (mean return -+ one standard deviation: of the evaluation's
        episodes, averaged over seeds), episodes, seeds.
    """
    keys = [*_CELL, "env_steps"]
    spread = pl.col("return_std").mean()
    mean = pl.col("return").mean()
    chosen = online.filter(pl.col("arm") == arm, pl.col("axis") == "default")
    return (
        chosen.sort(*keys, "seed")
        .group_by(keys, maintain_order=True)
        .agg(
            mean.alias("return"), (mean - spread).alias("low"), (mean + spread).alias("high"),
            pl.col("episodes").sum(), pl.col("seed").n_unique().alias("seeds"),
        )
    )  # fmt: skip


def ends(online: pl.DataFrame) -> pl.DataFrame:
    """Where each representation began and ended, means over seeds.

    Returns:
        encoder, algorithm, task, env_steps (of the last evaluation), first, last (mean returns of the online arm's first and
        last evaluation), offline_only, from_nothing (last evaluations of those arms; null where there is none).
    """
    curve = curves(online).group_by(_CELL, maintain_order=True)
    table = curve.agg(pl.col("env_steps").last(), first=pl.col("return").first(), last=pl.col("return").last())
    for arm in (OFFLINE_ARM, NOTHING_ARM):
        own = _last(online, arm).group_by(_CELL, maintain_order=True).agg(pl.col("return").mean().alias(arm))
        table = table.join(own, on=_CELL, how="left", maintain_order="left")
    return table


def gains(online: pl.DataFrame, confidence: float) -> pl.DataFrame:
    """What it is worth to start from the offline model: the last return with it less that from nothing, by seed.

    Returns:
        encoder, algorithm, task, seeds, env_steps, gain (mean over seeds), low, high (Student's t over seeds; null for one).
    """
    with_it, without = _last(online, ONLINE_ARM), _last(online, NOTHING_ARM)
    paired = with_it.join(without, on=[*_CELL, "seed", "env_steps"], suffix="_without").with_columns(
        gain=pl.col("return") - pl.col("return_without")
    )
    table = (
        paired.sort(*_CELL, "seed")
        .group_by(_CELL, maintain_order=True)
        .agg(
            pl.len().alias("seeds"),
            pl.col("env_steps").max(),
            pl.col("gain").mean(),
            error=pl.col("gain").std() / pl.len().sqrt(),
        )
    )
    reach = [
        float(stats.t.ppf((1 + confidence) / 2, seeds - 1) * error) if seeds > 1 else None
        for seeds, error in table.select("seeds", "error").rows()
    ]
    width = pl.Series("reach", reach, pl.Float64)
    return table.with_columns(low=pl.col("gain") - width, high=pl.col("gain") + width).drop("error")


def under_looks(online: pl.DataFrame) -> pl.DataFrame:
    """Mean return of the last evaluation under every look that the online arm's agents were evaluated under, over seeds.

    Returns:
        encoder, algorithm, task, axis, severity, return, low, high (-+ one standard deviation of the episodes, averaged over
        looks and seeds); every axis begins with the default look at severity 0.
    """
    own = online.filter(pl.col("arm") == ONLINE_ARM)
    last = own.filter(pl.col("env_steps") == pl.col("env_steps").max().over(*_CELL, "seed"))
    shifted = last.filter(pl.col("axis") != "default")
    axes = shifted.select(*_CELL, "axis").unique()
    default = last.filter(pl.col("axis") == "default").drop("axis").join(axes, on=_CELL)
    keys = [*_CELL, "axis", "severity"]
    mean, spread = pl.col("return").mean(), pl.col("return_std").mean()
    return (
        pl.concat([default.select(*keys, "return", "return_std"), shifted.select(*keys, "return", "return_std")])
        .sort(*keys, "return")
        .group_by(keys, maintain_order=True)
        .agg(mean.alias("return"), (mean - spread).alias("low"), (mean + spread).alias("high"))
    )


def _last(online: pl.DataFrame, arm: str) -> pl.DataFrame:
    """The last evaluation of every seed of an arm under the default look."""
    own = online.filter(pl.col("arm") == arm, pl.col("axis") == "default").sort(*_CELL, "seed", "env_steps")
    return own.group_by(*_CELL, "seed", maintain_order=True).agg(pl.col("env_steps").last(), pl.col("return").last())
