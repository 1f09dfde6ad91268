"""Returns of online fine-tuning, beside the policy that never acted and the expert that made part of the data."""

import polars as pl

ONLINE_ARM, OFFLINE_ARM = "online", "offline_only"


def curves(online: pl.DataFrame) -> pl.DataFrame:
    """Mean return by representation and agent step of the online arm, over seeds.

    Returns:
        encoder, algorithm, task, env_steps, return, low, high (mean return -+ one standard deviation: of the evaluation's
        episodes, averaged over seeds), episodes, seeds.
    """
    keys = ["encoder", "algorithm", "task", "env_steps"]
    spread = pl.col("return_std").mean()
    mean = pl.col("return").mean()
    chosen = online.filter(pl.col("arm") == ONLINE_ARM, pl.col("axis") == "default")
    return (
        chosen.sort(*keys, "seed")
        .group_by(keys, maintain_order=True)
        .agg(
            mean.alias("return"), (mean - spread).alias("low"), (mean + spread).alias("high"),
            pl.col("episodes").sum(), pl.col("seed").n_unique().alias("seeds"),
        )
    )  # fmt: skip


def ends(online: pl.DataFrame) -> pl.DataFrame:
    """Where each representation began and ended.

    Returns:
        encoder, algorithm, task, env_steps (of the last evaluation), first, last (mean returns of the online arm's first and
        last evaluation), offline_only (last evaluation of the arm trained as long without online data; null where none).
    """
    keys = ["encoder", "algorithm", "task"]
    curve = curves(online).group_by(keys, maintain_order=True)
    table = curve.agg(pl.col("env_steps").last(), first=pl.col("return").first(), last=pl.col("return").last())
    control = (
        online.filter(pl.col("arm") == OFFLINE_ARM, pl.col("axis") == "default")
        .sort(*keys, "seed", "env_steps")
        .group_by(*keys, "seed", maintain_order=True)
        .agg(pl.col("return").last())
        .group_by(keys, maintain_order=True)
        .agg(offline_only=pl.col("return").mean())
    )
    return table.join(control, on=keys, how="left", maintain_order="left")
