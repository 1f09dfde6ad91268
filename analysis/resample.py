"""Estimates of reward error, and resamples of them: of whole episodes, and of models where there are several.

The same resamples serve every representation and look of a task: the looks show the same episodes, so differences between them
are paired. `confidence` makes intervals of them.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache

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
        sources: float64 [resamples or 1, G, statistics] each: the total ([G, statistics]), then resamples of the episodes (every
            seed kept), of the seeds (every episode kept), and of (seed, episode) pairs. One seed is kept: [1, G, statistics].
        present: int [G, statistics], episodes in which the sum is not 0: first of all, those that have predictions.
        episodes, seeds: how many there are of each.
    """

    cell: tuple[str, str, str]
    groups: pl.DataFrame
    sources: tuple[Array, Array, Array, Array]
    present: NDArray[np.int64]
    episodes: int
    seeds: int

    @property
    def total(self) -> Array:
        """Over all episodes and seeds, [G, statistics]."""
        return self.sources[0]


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
    """Percentiles along axis 0 (Efron and Tibshirani 1993, section 13.3); draws that are nan are left out."""
    tails = [(1 - confidence) / 2, (1 + confidence) / 2]
    with np.errstate(invalid="ignore"):
        low, high = np.quantile(draws, tails, axis=0)
    for column in np.flatnonzero(~np.isfinite(draws).all(axis=0)):
        low[column] = high[column] = np.nan
        finite = draws[:, column][np.isfinite(draws[:, column])]
        if len(finite):
            low[column], high[column] = np.quantile(finite, tails)
    return low, high


@lru_cache(maxsize=8)
def weights(units: int, how: Resampling) -> Array:
    """How often each unit is drawn, with replacement, in as many draws as there are units.

    Returns:
        float64 [resamples, units], the same for the same arguments; not to be written to.
    """
    rng = np.random.Generator(np.random.PCG64(how.seed))
    drawn = rng.multinomial(units, np.full(units, 1 / units), size=how.resamples).astype(np.float64)
    drawn.flags.writeable = False
    return drawn


def draw(sums: pl.DataFrame, group_by: Sequence[str], how: Resampling, statistics: Sequence[str] = STATISTICS) -> Iterator[Draws]:
    """Resample the sums of each (encoder, algorithm, task), groups of predictions side by side.

    Looks that share all of `group_by` (several random draws of one axis and severity) are pooled.

    Args:
        sums: encoder, algorithm, task, seed, episode, `group_by`, `statistics`; one row per episode or several, which are added.
        statistics: what is added up; the first counts predictions.
    """
    groups = sums.select(group_by).unique().sort(group_by, nulls_last=True).with_row_index("g")
    coded = sums.join(groups, on=list(group_by), how="left", nulls_equal=True, maintain_order="left")
    for (task,), of_task in coded.partition_by("task", as_dict=True, maintain_order=True).items():
        episodes = np.unique(of_task["episode"].to_numpy())
        for (encoder, algorithm), part in of_task.partition_by("encoder", "algorithm", as_dict=True, maintain_order=True).items():
            episode = np.searchsorted(episodes, part["episode"].to_numpy())
            (seeds, seed), (own, group) = (np.unique(part[name].to_numpy(), return_inverse=True) for name in ("seed", "g"))
            values = part.select(statistics).to_numpy()
            dense = np.zeros((len(seeds), len(episodes), len(own), len(statistics)))
            np.add.at(dense, (seed, episode, group), values)
            yield _drawn((str(encoder), str(algorithm), str(task)), groups[own].drop("g"), dense, how)


def _drawn(cell: tuple[str, str, str], groups: pl.DataFrame, dense: Array, how: Resampling) -> Draws:
    """From sums [seeds, episodes, groups, statistics]."""
    seeds, episodes, *rest = dense.shape

    def resampled(units: Array) -> Array:
        return (weights(len(units), how) @ units.reshape(len(units), -1)).reshape(how.resamples, *rest)

    total, by_episode = dense.sum(axis=(0, 1)), resampled(dense.sum(axis=0))
    by_seed, by_both = total[None], by_episode
    if seeds > 1:
        by_seed, by_both = resampled(dense.sum(axis=1)), resampled(dense.reshape(seeds * episodes, *rest))
    present = (dense != 0).any(axis=0).sum(axis=0)
    return Draws(cell, groups, (total, by_episode, by_seed, by_both), present, episodes, seeds)
