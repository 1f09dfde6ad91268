"""How probably a run of one representation beats one of another (Agarwal et al. 2021, arXiv 2108.13264, section 4.3)."""

from itertools import permutations

import numpy as np
import polars as pl

from analysis.resample import Array, Resampling
from analysis.statistics.draws import codes, counts
from analysis.statistics.intervals import share
from analysis.statistics.verdict import with_few_seeds

_UNIT = ("algorithm", "encoder", "task")


def improvements(scores: pl.DataFrame, how: Resampling) -> pl.DataFrame:
    """P(x > y) for every ordered pair of representations under one algorithm, averaged over the tasks that both have.

    Args:
        scores: encoder, algorithm, task, seed, score.

    Returns:
        algorithm, x, y, estimate (0.5: neither), low, high, tasks, seeds (fewest of a representation on a task), few_seeds.
        The runs of both are resampled within their task.
    """
    runs = scores.sort(*_UNIT, "seed")
    values, drawn = runs["score"].to_numpy(), counts(codes(runs, *_UNIT), how)
    rows = []
    indexed = runs.select(*_UNIT).with_row_index("row")
    for (algorithm,), own in indexed.group_by("algorithm", maintain_order=True):
        members = {key: part["row"].to_numpy() for key, part in own.group_by("encoder", "task", maintain_order=True)}
        encoders = own["encoder"].unique(maintain_order=True)
        for x, y in permutations(encoders, 2):
            tasks = [task for encoder, task in members if encoder == x and (y, task) in members]
            if not tasks:
                continue
            pairs = [(members[x, task], members[y, task]) for task in tasks]
            wins = [probability(values[a], values[b], np.ones((1, len(a))), np.ones((1, len(b)))) for a, b in pairs]
            resampled = [probability(values[a], values[b], drawn[:, a], drawn[:, b]) for a, b in pairs]
            sizes = [len(group) for pair in pairs for group in pair]
            freedom = sum(sizes) - len(sizes) if min(sizes) > 1 else 0
            estimate, trials = float(np.mean(wins)), sum(min(len(a), len(b)) for a, b in pairs)
            low, high = share(estimate, np.mean(resampled, axis=0), how.confidence, sum(sizes), freedom, trials)
            rows.append((algorithm, x, y, estimate, low, high, len(tasks), min(sizes)))
    names = {"algorithm": pl.String, "x": pl.String, "y": pl.String, "estimate": pl.Float64, "low": pl.Float64,
             "high": pl.Float64, "tasks": pl.Int64, "seeds": pl.Int64}  # fmt: skip
    return with_few_seeds(pl.DataFrame(rows, schema=names, orient="row").with_columns(pl.col("low", "high").fill_nan(None)))


def probability(x: Array, y: Array, of_x: Array, of_y: Array) -> Array:
    """Mann and Whitney's U over its maximum: the share of pairs that x wins, a tie counting half.

    Args:
        x, y: scores [N], [M]. of_x, of_y: how often each counts, [resamples, N], [resamples, M].
    """
    wins = (x[:, None] > y) + (x[:, None] == y) / 2
    return ((of_x @ wins) * of_y).sum(1) / (of_x.sum(1) * of_y.sum(1))
