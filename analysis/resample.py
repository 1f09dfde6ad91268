"""Estimates of reward error with confidence intervals from resampling whole episodes (and models, where there are several).

Percentile bootstrap (Efron and Tibshirani 1993, section 13.3). The same resamples serve every representation and look of a
task: the looks show the same episodes, so differences between them are paired.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import polars as pl
from numpy.typing import NDArray

from analysis.sums import STATISTICS

Array = NDArray[np.float64]
_N, _R, _RR, _P, _SE, _AE = range(len(STATISTICS))
_FLAT = 1e-9  # a sum of squares this small beside the rewards' own is rounding: they do not vary


@dataclass(frozen=True)
class Resampling:
    """How intervals are made: number of resamples, confidence in (0, 1), seed of the draws."""

    resamples: int
    confidence: float
    seed: int


@dataclass(frozen=True)
class Draws:
    """One representation's sums for G groups of predictions.

    Attributes:
        cell: (encoder, algorithm, task).
        groups: G rows of group keys.
        total: float64 [G, statistics], over all episodes and seeds.
        resampled: float64 [resamples, G, statistics].
        episodes, seeds: how many there are of each.
    """

    cell: tuple[str, str, str]
    groups: pl.DataFrame
    total: Array
    resampled: Array
    episodes: int
    seeds: int


def r2(sums: Array) -> Array:
    """1 - squared error / squared deviation from the mean; nan where rewards do not vary. [..., statistics] -> [...]."""
    with np.errstate(all="ignore"):
        spread = sums[..., _RR] - sums[..., _R] ** 2 / sums[..., _N]
        value = 1 - sums[..., _SE] / spread
    return np.where(spread > _FLAT * sums[..., _RR], value, np.nan)


def mae(sums: Array) -> Array:
    """Mean absolute error, in units of reward a step; nan without predictions. [..., statistics] -> [...]."""
    with np.errstate(all="ignore"):
        return sums[..., _AE] / sums[..., _N]


def bias(sums: Array) -> Array:
    """Mean of prediction - reward; nan without predictions. [..., statistics] -> [...]."""
    with np.errstate(all="ignore"):
        return (sums[..., _P] - sums[..., _R]) / sums[..., _N]


def interval(draws: Array, confidence: float) -> tuple[Array, Array]:
    """Percentile interval along axis 0; draws that are nan (a group that the resample missed) are left out."""
    tails = [(1 - confidence) / 2, (1 + confidence) / 2]
    with np.errstate(invalid="ignore"):
        low, high = np.quantile(draws, tails, axis=0)
    for column in np.flatnonzero(~np.isfinite(draws).all(axis=0)):
        low[column] = high[column] = np.nan
        finite = draws[:, column][np.isfinite(draws[:, column])]
        if len(finite):
            low[column], high[column] = np.quantile(finite, tails)
    return low, high


def weights(seeds: int, episodes: int, how: Resampling) -> Array:
    """How often each (seed, episode) pair is drawn: seeds and episodes independently, with replacement; a single seed stays.

    Returns:
        float64 [resamples, seeds * episodes], the same for the same arguments.
    """
    rng = np.random.Generator(np.random.PCG64(how.seed))
    of_episodes = rng.multinomial(episodes, np.full(episodes, 1 / episodes), size=how.resamples).astype(np.float64)
    of_seeds = rng.multinomial(seeds, np.full(seeds, 1 / seeds), size=how.resamples).astype(np.float64)
    return (of_seeds[:, :, None] * of_episodes[:, None, :]).reshape(how.resamples, seeds * episodes)


def draw(sums: pl.DataFrame, group_by: Sequence[str], how: Resampling) -> Iterator[Draws]:
    """Resample the sums of each (encoder, algorithm, task), groups of predictions side by side.

    Looks that share all of `group_by` (several random draws of one axis and severity) are pooled.
    """
    for (task,), of_task in sums.partition_by("task", as_dict=True, maintain_order=True).items():
        episodes = of_task.select("episode").unique().sort("episode").with_row_index("e")
        groups = of_task.select(group_by).unique().sort(group_by, nulls_last=True).with_row_index("g")
        cells = of_task.partition_by("encoder", "algorithm", as_dict=True, maintain_order=True)
        for (encoder, algorithm), part in cells.items():
            seeds = part.select("seed").unique().sort("seed").with_row_index("s")
            placed = part.join(episodes, on="episode").join(seeds, on="seed").join(groups, on=list(group_by), nulls_equal=True)
            dense = np.zeros((len(seeds), len(episodes), len(groups), len(STATISTICS)))
            index = tuple(placed[name].to_numpy() for name in ("s", "e", "g"))
            np.add.at(dense, index, placed.select(STATISTICS).to_numpy())
            flat = dense.reshape(len(seeds) * len(episodes), -1)
            resampled = (weights(len(seeds), len(episodes), how) @ flat).reshape(-1, len(groups), len(STATISTICS))
            present = dense.sum(axis=(0, 1))[:, _N] > 0
            yield Draws(
                (str(encoder), str(algorithm), str(task)),
                groups.drop("g").filter(pl.Series(present)),
                dense.sum(axis=(0, 1))[present],
                resampled if present.all() else resampled[:, present],
                len(episodes),
                len(seeds),
            )
