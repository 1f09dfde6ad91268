"""Dynamics error, coverage and probe error by any grouping, with intervals from resampling whole episodes (and models).

The tables that stages write have one row per episode, which carries the mean of its `n` predictions. Groups are pooled: every
prediction weighs the same. One set of resamples serves all representations of a task (`resample.draw`).
"""

from collections.abc import Sequence

import polars as pl

from analysis.confidence import LOG
from analysis.figure import Figure, tabulated
from analysis.resample import Resampling

_MEAN = Figure(lambda sums: sums["value"] / sums["n"], scale=LOG)  # of errors
_SHARE = Figure(lambda sums: sums["inside"] / sums["n"], share=True)
_WIDTH = Figure(lambda sums: sums["width"] / sums["n"])


def dynamics_by(table: pl.DataFrame, group_by: Sequence[str], how: Resampling) -> pl.DataFrame:
    """Mean of each metric of `results/dynamics.parquet`.

    Args:
        table: columns of `tables.DYNAMICS`, all or some rows.
        group_by: further columns that groups differ in, such as `axis`, `severity`, `horizon`.
        how: the resampling.

    Returns:
        encoder, algorithm, task, metric, `group_by`, value, low, high, n, episodes, seeds; sorted.

    Raises:
        ValueError: the table has no rows.
    """
    return _means(table, ("metric", *group_by), how)


def coverage_by(table: pl.DataFrame, group_by: Sequence[str], how: Resampling) -> pl.DataFrame:
    """Share of rewards inside the central intervals of `results/calibration.parquet`, and these intervals' mean width.

    Args:
        table: columns of `tables.CALIBRATION`. group_by, how: as for `dynamics_by`.

    Returns:
        encoder, algorithm, task, level, `group_by`, value (the share, `level` if the model is calibrated), low, high, n,
        episodes, seeds, width (in reward a step); sorted.
    """
    _check(table)
    keys = ["level", *group_by]
    sums = table.with_columns(pl.col("n", "inside").cast(pl.Float64), width=pl.col("width") * pl.col("n"))
    figures = {"share": _SHARE, "width": _WIDTH}
    made = tabulated(sums, keys, ("n", "inside", "width"), figures, how)
    cell = ["encoder", "algorithm", "task", *keys]
    width = made.filter(measure="width").select(*cell, width="value")
    return made.filter(measure="share").drop("measure").join(width, on=cell, nulls_equal=True, maintain_order="left")


def probes_by(table: pl.DataFrame, group_by: Sequence[str], how: Resampling) -> pl.DataFrame:
    """Mean error of each probe of `results/probes.parquet`.

    Args:
        table: columns of `tables.PROBES`. group_by, how: as for `dynamics_by`.

    Returns:
        encoder, task, target, method, `group_by`, value, low, high, n, episodes; sorted.
    """
    one = table.with_columns(seed=pl.lit(0, pl.Int64), algorithm=pl.lit("none"))  # there is no model in it
    return _means(one, ("target", "method", *group_by), how).drop("algorithm", "seeds")


def _means(table: pl.DataFrame, keys: Sequence[str], how: Resampling) -> pl.DataFrame:
    _check(table)
    sums = table.with_columns(pl.col("n").cast(pl.Float64), value=pl.col("value") * pl.col("n"))
    return tabulated(sums, list(keys), ("n", "value"), {"mean": _MEAN}, how).drop("measure")


def _check(table: pl.DataFrame) -> None:
    if table.is_empty():
        raise ValueError("there are no rows to average")
