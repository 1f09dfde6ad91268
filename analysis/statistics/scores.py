"""Scores of runs in one number per representation, as rliable does it (Agarwal et al. 2021, arXiv 2108.13264).

A run is one seed on one task. Runs are resampled within their task: the intervals speak of other seeds, on these tasks.
"""

from collections.abc import Callable, Sequence

import numpy as np
import polars as pl

from analysis.resample import Array, Resampling
from analysis.statistics.draws import Ids, codes, counts
from analysis.statistics.intervals import share, student
from analysis.statistics.verdict import with_few_seeds

CELL = ("encoder", "algorithm")
Figure = Callable[[Array, Ids, Array], Array]  # scores [N], tasks [N], weights [resamples, N] -> [resamples]


def aggregates(scores: pl.DataFrame, how: Resampling, gamma: float = 1.0) -> pl.DataFrame:
    """Interquartile mean (IQM), mean, median and optimality gap of each representation.

    Args:
        scores: CELL, task, seed, score (normalised).
        gamma: the score beyond which more does not count, for the optimality gap.

    Returns:
        CELL, metric, estimate, low, high, runs, tasks, seeds (fewest of a task), few_seeds. Intervals of tasks with one seed
        are null: one value has no spread.
    """
    figures: dict[str, Figure] = {
        "iqm": iqm,
        "mean": mean,
        "median": median,
        "optimality_gap": lambda values, _, weights: gamma - weights @ np.minimum(values, gamma) / weights.sum(1),
    }
    return _by_cell(scores, how, [({"metric": name}, figure) for name, figure in figures.items()])


def profiles(scores: pl.DataFrame, thresholds: Sequence[float], how: Resampling) -> pl.DataFrame:
    """Performance profile of each representation: the share of runs that score above each threshold, pointwise intervals.

    Returns:
        As `aggregates`, with `threshold` instead of `metric`.
    """

    def above(threshold: float) -> Figure:
        return lambda values, _, weights: weights @ (values > threshold) / weights.sum(1)

    return _by_cell(scores, how, [({"threshold": t}, above(t)) for t in thresholds])


def iqm(values: Array, _: Ids, weights: Array) -> Array:
    """Mean without the lowest and the highest quarter of all runs, as scipy.stats.trim_mean(..., 0.25) cuts them."""
    order = np.argsort(values, kind="stable")
    upto = np.cumsum(weights[:, order], axis=1)
    total = upto[:, -1:]
    cut = np.floor(total / 4)
    kept = np.diff(np.clip(upto, cut, total - cut), axis=1, prepend=cut)
    return kept @ values[order] / kept.sum(1)


def mean(values: Array, tasks: Ids, weights: Array) -> Array:
    """Mean of the tasks' means."""
    return task_means(values, tasks, weights).mean(1)


def median(values: Array, tasks: Ids, weights: Array) -> Array:
    """Median of the tasks' means."""
    return np.median(task_means(values, tasks, weights), axis=1)


def task_means(values: Array, tasks: Ids, weights: Array) -> Array:
    """[N], [N], [resamples, N] -> [resamples, tasks]."""
    member = np.eye(tasks.max() + 1)[tasks]
    return (weights * values) @ member / (weights @ member)


def _by_cell(scores: pl.DataFrame, how: Resampling, figures: Sequence[tuple[dict[str, object], Figure]]) -> pl.DataFrame:
    rows = []
    for cell, own in scores.sort(*CELL, "task", "seed").group_by(CELL, maintain_order=True):
        values, tasks = own["score"].to_numpy(), codes(own, "task")
        drawn, seeds = counts(tasks, how), int(np.bincount(tasks).min())
        units, freedom = len(values), len(values) - int(tasks.max()) - 1 if seeds > 1 else 0
        for label, figure in figures:
            estimate, resampled = float(figure(values, tasks, np.ones((1, units)))[0]), figure(values, tasks, drawn)
            if "threshold" in label:
                low, high = share(estimate, resampled, how.confidence, units, freedom, trials=units)
            else:
                low, high = student(estimate, resampled, how.confidence, units, freedom)
            sizes = {"runs": units, "tasks": int(tasks.max()) + 1, "seeds": seeds}
            rows.append(dict(zip(CELL, cell, strict=True)) | label | {"estimate": estimate, "low": low, "high": high} | sizes)
    return with_few_seeds(pl.DataFrame(rows).with_columns(pl.col("low", "high").fill_nan(None)))
