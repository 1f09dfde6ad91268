"""A figure computed from sums, and a tidy table of figures with intervals."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import polars as pl

from analysis.confidence import PLAIN, Replicates, Scale, limits, share_limits
from analysis.resample import Array, Resampling, draw

Sums = Mapping[str, Array]  # of each statistic, [...]


@dataclass(frozen=True)
class Figure:
    """One measure.

    Attributes:
        of: from sums to the measure, nan where it is undefined.
        counted: the statistic whose episodes are the sample; `n` are those that have predictions.
        scale: where its interval is symmetric. share: whether it lies in [0, 1] (then on that scale).
    """

    of: Callable[[Sums], Array]
    counted: str = "n"
    scale: Scale = PLAIN
    share: bool = False


def tabulated(
    sums: pl.DataFrame, group_by: Sequence[str], statistics: Sequence[str], figures: Mapping[str, Figure], how: Resampling
) -> pl.DataFrame:
    """Every figure of every group with its interval from resampled episodes and seeds (`resample.draw`).

    Args:
        sums: as `resample.draw` takes them. statistics: their names, `n` first.

    Returns:
        encoder, algorithm, task, `group_by`, measure, value, low, high, n, episodes, seeds; sorted but for the order of figures.
        `n` counts predictions, `episodes` those of the group. Undefined values are null.
    """
    tables = []
    for drawn in draw(sums, group_by, how, statistics):
        named = [{name: source[..., k] for k, name in enumerate(statistics)} for source in drawn.sources]
        for name, figure in figures.items():
            with np.errstate(all="ignore"):
                total, by_episode, by_seed, by_both = (figure.of(source) for source in named)
            values: Replicates = (total, by_episode, by_seed, by_both)
            episodes = drawn.present[:, list(statistics).index(figure.counted)]
            if figure.share:
                low, high = share_limits(values, episodes, drawn.seeds, how.confidence)
            else:
                low, high = limits(values, episodes, drawn.seeds, how.confidence, figure.scale)
            columns = {"value": total, "low": low, "high": high}
            encoder, algorithm, task = drawn.cell
            labels = {"encoder": encoder, "algorithm": algorithm, "task": task, "measure": name}
            counts = {"n": drawn.total[:, 0].astype(np.int64), "episodes": drawn.present[:, 0]}
            tables.append(
                drawn.groups.with_columns(
                    **{key: pl.lit(value) for key, value in labels.items()},
                    **columns,
                    **counts,
                    seeds=pl.lit(drawn.seeds, pl.Int64),
                )
            )
    cell = ("encoder", "algorithm", "task")
    order = [*cell, *group_by, "measure", "value", "low", "high", "n", "episodes", "seeds"]
    table = pl.concat(tables).select(order).with_columns(pl.col("value", "low", "high").fill_nan(None))
    return table.sort(*cell, *group_by, nulls_last=True, maintain_order=True)
