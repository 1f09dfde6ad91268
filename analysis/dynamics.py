"""Dynamics error, coverage and probe error by any grouping, with intervals from resampling whole episodes (and models).

The tables that stages write have one row per episode, which carries the mean of its `n` predictions. Groups are pooled: every
prediction weighs the same. As in `analysis.resample`, one set of resamples serves all representations of a task, so that their
difference is paired.
"""

from collections.abc import Iterator, Sequence

import numpy as np
import polars as pl
from numpy.typing import NDArray

from analysis.resample import Resampling, interval, weights

Pooled = tuple[tuple[str, ...], pl.DataFrame, NDArray[np.float64], NDArray[np.float64], NDArray[np.int64], int]


def dynamics_by(table: pl.DataFrame, group_by: Sequence[str], how: Resampling) -> pl.DataFrame:
    """Mean of each metric of `results/dynamics.parquet`.

    Args:
        table: columns of `tables.DYNAMICS`, all or some rows.
        group_by: further columns that groups differ in, such as `axis`, `severity`, `horizon`.
        how: the resampling.

    Returns:
        encoder, algorithm, task, metric, `group_by`, n, episodes, seeds, value, value_low, value_high; sorted.
    """
    return _means(table, ("encoder", "algorithm", "task"), ("metric", *group_by), {"value": pl.col("value")}, how)


def coverage_by(table: pl.DataFrame, group_by: Sequence[str], how: Resampling) -> pl.DataFrame:
    """Share of rewards inside the central intervals of `results/calibration.parquet`, and these intervals' mean width.

    Args:
        table: columns of `tables.CALIBRATION`. group_by, how: as for `dynamics_by`.

    Returns:
        encoder, algorithm, task, level, `group_by`, n, episodes, seeds, then `value` (the share, `level` if the model is
        calibrated) and `width` (in reward a step), each followed by `_low` and `_high`; sorted.
    """
    means = {"value": pl.col("inside") / pl.col("n"), "width": pl.col("width")}
    return _means(table, ("encoder", "algorithm", "task"), ("level", *group_by), means, how)


def probes_by(table: pl.DataFrame, group_by: Sequence[str], how: Resampling) -> pl.DataFrame:
    """Mean error of each probe of `results/probes.parquet`.

    Args:
        table: columns of `tables.PROBES`. group_by, how: as for `dynamics_by`.

    Returns:
        encoder, task, target, method, `group_by`, n, episodes, seeds (1: there is no model in it), value, value_low, value_high;
        sorted.
    """
    seeded = table.with_columns(seed=pl.lit(0, pl.Int64))
    return _means(seeded, ("encoder", "task"), ("target", "method", *group_by), {"value": pl.col("value")}, how)


def _means(
    table: pl.DataFrame, cell: Sequence[str], group_by: Sequence[str], means: dict[str, pl.Expr], how: Resampling
) -> pl.DataFrame:
    """Means weighted by `n` for every value of `cell` (`task` last) and `group_by`."""
    groups = list(dict.fromkeys(group_by))
    sums = table.select(*cell, "seed", "episode", *groups, n=pl.col("n").cast(pl.Float64), **means)
    sums = sums.with_columns(pl.col(*means) * pl.col("n"))
    parts = []
    for own, keys, total, drawn, episodes, seeds in _pooled(sums, cell, groups, ("n", *means), how):
        columns = {name: pl.Series([value] * len(keys), dtype=pl.String) for name, value in zip(cell, own, strict=True)}
        columns |= {name: keys[name] for name in groups}
        columns |= {"n": pl.Series(total[:, 0]).cast(pl.Int64)}
        columns |= {"episodes": pl.Series(episodes), "seeds": pl.Series([seeds] * len(keys), dtype=pl.Int64)}
        for at, name in enumerate(means, 1):
            with np.errstate(all="ignore"):
                value, resampled = total[:, at] / total[:, 0], drawn[..., at] / drawn[..., 0]
            low, high = interval(resampled, how.confidence)
            columns |= {name: pl.Series(value), f"{name}_low": pl.Series(low), f"{name}_high": pl.Series(high)}
        parts.append(pl.DataFrame(columns))
    if not parts:
        raise ValueError("there are no rows to average")
    return pl.concat(parts).sort([*cell, *groups], nulls_last=True).with_columns(pl.col(pl.Float64).fill_nan(None))


def _pooled(
    sums: pl.DataFrame, cell: Sequence[str], group_by: list[str], columns: Sequence[str], how: Resampling
) -> Iterator[Pooled]:
    """Of each value of `cell`: it, groups, their sums [G, columns], resampled [resamples, G, columns], episodes [G], seeds."""
    for of_task in sums.partition_by("task", maintain_order=True):
        episodes = of_task.select("episode").unique().sort("episode").with_row_index("e")
        for own, part in of_task.partition_by(cell, as_dict=True, maintain_order=True).items():
            groups = part.select(group_by).unique().sort(group_by, nulls_last=True).with_row_index("g")
            seeds = part.select("seed").unique().sort("seed").with_row_index("s")
            placed = part.join(episodes, on="episode").join(seeds, on="seed").join(groups, on=group_by, nulls_equal=True)
            dense = np.zeros((len(seeds), len(episodes), len(groups), len(columns)))
            np.add.at(dense, tuple(placed[name].to_numpy() for name in ("s", "e", "g")), placed.select(columns).to_numpy())
            flat = dense.reshape(len(seeds) * len(episodes), -1)
            drawn = (weights(len(seeds), len(episodes), how) @ flat).reshape(-1, len(groups), len(columns))
            present = (dense[..., 0].sum(0) > 0).sum(0)
            yield tuple(map(str, own)), groups.drop("g"), dense.sum((0, 1)), drawn, present, len(seeds)
