"""Reward error per representation, by any grouping of the predictions, and between representations."""

from collections.abc import Callable, Sequence

import numpy as np
import polars as pl

from analysis.confidence import LOG, PLAIN, REST, Replicates, limits
from analysis.resample import Array, Draws, Resampling, bias, draw, mae, r2

LOOK = ("axis", "severity", "split")
_CELL = ("encoder", "algorithm", "task")
_SCALES = {"r2": REST, "mae": LOG, "bias": PLAIN, "mae_increase": PLAIN, "mae_ratio": LOG}


def errors_by(sums: pl.DataFrame, group_by: Sequence[str], how: Resampling) -> pl.DataFrame:
    """R2, mean absolute error (MAE) and bias of every group with intervals, and the MAE's paired increase over the default look.

    Args:
        sums: per-episode sums (`sums.episode_sums`, `sums.bin_sums`).
        group_by: key columns, among them `axis`, `severity` and `split`.
        how: the resampling.

    Returns:
        encoder, algorithm, task, `group_by`, n, episodes, seeds, then `r2`, `mae`, `bias`, `mae_increase` (MAE minus that of
        the same group under the default look) and `mae_ratio` (their quotient), each followed by `_low` and `_high`.
        Undefined values are null.
    """
    tables = [_table(draws, group_by, how) for draws in draw(sums, group_by, how)]
    keys = [*_CELL, *group_by]
    table = pl.concat(tables).sort(keys, nulls_last=True)
    return table.with_columns(pl.col(pl.Float64).fill_nan(None))


def contrasts(sums: pl.DataFrame, reference: str, horizons: Sequence[int], how: Resampling) -> pl.DataFrame:
    """How each representation's MAE differs from that of `reference`, on the same resampled episodes.

    Returns:
        encoder, algorithm, task, shifted (false: default look; true: all held-out others pooled), horizon, mae, reference_mae,
        difference, difference_low, difference_high; a negative difference is a smaller error than the reference's.
    """
    group_by = ["shifted", "horizon"]
    held_out = (pl.col("axis") == "default") | (pl.col("split") == "ood")
    chosen = sums.filter(held_out, pl.col("horizon").is_in(list(horizons))).with_columns(shifted=pl.col("axis") != "default")
    drawn = list(draw(chosen, group_by, how))
    references = {d.cell[1:]: d for d in drawn if d.cell[0] == reference}
    rows = []
    for d in drawn:
        base = references.get(d.cell[1:])
        if base is None or d.cell[0] == reference or not d.groups.equals(base.groups):
            continue
        between = tuple(mae(a) - mae(b) for a, b in zip(d.sources, base.sources, strict=True))
        low, high = limits(between, d.present[:, 0], min(d.seeds, base.seeds), how.confidence)  # type: ignore[arg-type]
        own, other = mae(d.total), mae(base.total)
        for g, group in enumerate(d.groups.iter_rows(named=True)):
            rows.append(
                dict(zip(_CELL, d.cell, strict=True)) | group
                | {"mae": own[g], "reference_mae": other[g], "difference": own[g] - other[g],
                   "difference_low": low[g], "difference_high": high[g]}
            )  # fmt: skip
    schema = {
        **dict.fromkeys(_CELL, pl.String), "shifted": pl.Boolean, "horizon": pl.Int32, "mae": pl.Float64,
        "reference_mae": pl.Float64, "difference": pl.Float64, "difference_low": pl.Float64, "difference_high": pl.Float64,
    }  # fmt: skip
    table = pl.DataFrame(rows, schema=schema).with_columns(pl.col(pl.Float64).fill_nan(None))
    return table.sort("task", "algorithm", "horizon", "shifted", "encoder")


def _table(draws: Draws, group_by: Sequence[str], how: Resampling) -> pl.DataFrame:
    default = _default_groups(draws.groups, group_by)
    encoder, algorithm, task = draws.cell

    def against_default(combine: Callable[[Array, Array], Array], values: Array) -> Array:
        with np.errstate(all="ignore"):
            combined = combine(values, values[..., np.maximum(default, 0)])
        return np.where(default >= 0, combined, np.nan)

    def figures(sums: Array) -> dict[str, Array]:
        errors = mae(sums)
        increase, ratio = against_default(np.subtract, errors), against_default(np.divide, errors)
        return {"r2": r2(sums), "mae": errors, "bias": bias(sums), "mae_increase": increase, "mae_ratio": ratio}

    columns: dict[str, Array] = {}
    of_source = [figures(sums) for sums in draws.sources]
    for name, scale in _SCALES.items():
        total, by_episode, by_seed, by_both = (found[name] for found in of_source)
        values: Replicates = (total, by_episode, by_seed, by_both)
        columns[name] = total
        columns[f"{name}_low"], columns[f"{name}_high"] = limits(values, draws.present[:, 0], draws.seeds, how.confidence, scale)
    return draws.groups.select(
        pl.lit(encoder).alias("encoder"),
        pl.lit(algorithm).alias("algorithm"),
        pl.lit(task).alias("task"),
        *group_by,
        pl.Series("n", draws.total[:, 0]).cast(pl.Int64),
        pl.lit(draws.episodes, pl.Int64).alias("episodes"),
        pl.lit(draws.seeds, pl.Int64).alias("seeds"),
        *(pl.Series(name, values) for name, values in columns.items()),
    )


def _default_groups(groups: pl.DataFrame, group_by: Sequence[str]) -> Array:
    """int [G]: for each group, the index of the one that differs only in having the default look; -1 where there is none."""
    others = [name for name in group_by if name not in LOOK]
    rows = groups.select("axis", *others).rows()
    index = {row[1:]: g for g, row in enumerate(rows) if row[0] == "default"}
    return np.array([index.get(row[1:], -1) for row in rows])
