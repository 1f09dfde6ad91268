"""Confidence intervals of figures computed from resampled sums: Student's t on a scale where the figure is nearly symmetric.

Percentiles of resamples are too narrow for tens of episodes: they lack n / (n - 1) and Student's t (Hesterberg 2015, What
teachers should know about the bootstrap, section 4.3), and errors are skewed. `benchmarks.coverage` says how often these cover.

Episodes and seeds are crossed: every seed predicts every episode. The variance is that of resampling episodes, plus that of
resampling seeds, less that of resampling pairs, which both contain (Cameron, Gelbach and Miller 2011, Robust inference with
multiway clustering); its degrees of freedom are Satterthwaite's (1946).
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import special

from analysis.resample import Array

Replicates = tuple[Array, Array, Array, Array]  # a figure of `Draws.sources`: [G], then [resamples or 1, G] three times


@dataclass(frozen=True)
class Scale:
    """Where intervals are symmetric.

    Attributes:
        to, back: from a figure to the scale, and back.
        falling: whether a larger figure is smaller on the scale.
    """

    to: Callable[[Array], Array]
    back: Callable[[Array], Array]
    falling: bool = False


PLAIN = Scale(lambda x: x, lambda x: x)
LOG = Scale(np.log, np.exp)  # of what is above 0: errors, their ratios
REST = Scale(lambda x: np.log1p(-x), lambda x: -np.expm1(x), falling=True)  # of what is below 1: R2
ARTANH = Scale(np.arctanh, np.tanh)  # of correlations: Fisher's z


def limits(
    values: Replicates, episodes: NDArray[np.int64], seeds: int, confidence: float, scale: Scale = PLAIN
) -> tuple[Array, Array]:
    """Ends of the interval of each group, [G] each.

    Args:
        values: the figure of all, and of the resamples by episode, by seed and by both.
        episodes: [G], how many the group has.

    Returns:
        nan where the figure is undefined, or fewer than two episodes show how it varies. A figure that no resample changes has
        both ends at itself.
    """
    with np.errstate(all="ignore"):
        estimate, *resampled = (scale.to(v) for v in values)
        pairs = zip(resampled, (episodes, np.full_like(episodes, seeds), episodes * seeds), strict=True)
        of_episode, of_seed, of_both = (_variance(v) * units / np.maximum(units - 1, 1) for v, units in pairs)
        variance = np.maximum(np.maximum(of_episode, of_seed), of_episode + of_seed - of_both)
        freedom = variance**2 / (of_episode**2 / np.maximum(episodes - 1, 1) + of_seed**2 / max(seeds - 1, 1))
        reach = special.stdtrit(freedom, (1 + confidence) / 2) * np.sqrt(variance)
        low, high = scale.back(estimate - reach), scale.back(estimate + reach)
    if scale.falling:
        low, high = high, low
    still = np.logical_and.reduce([(v == values[0]).all(axis=0) for v in values[1:]])
    low, high = (np.where(still, values[0], end) for end in (low, high))
    known = (episodes > 1) & np.isfinite(values[0])
    return np.where(known, low, np.nan), np.where(known, high, np.nan)


def share_limits(values: Replicates, trials: NDArray[np.int64], seeds: int, confidence: float) -> tuple[Array, Array]:
    """`limits` of a share, within [0, 1]; where it is 0 or 1 resamples do not vary, and Clopper and Pearson's 1934 serve.

    Args:
        trials: [G], episodes in which what the share is of happened.
    """
    low, high = (np.clip(end, 0, 1) for end in limits(values, trials, seeds, confidence))
    bound = ((1 - confidence) / 2) ** (1 / np.maximum(trials, 1))
    low, high = np.where(values[0] == 1, bound, low), np.where(values[0] == 0, 1 - bound, high)
    return low, high


def _variance(resampled: Array) -> Array:
    """Of the finite values along axis 0; a resample that missed the group has none. [resamples, G] -> [G]."""
    finite = np.isfinite(resampled)
    if finite.all():
        return resampled.var(axis=0)
    count = finite.sum(axis=0)
    kept = np.where(finite, resampled, 0.0)
    mean = kept.sum(axis=0) / count
    return np.where(finite, (kept - mean) ** 2, 0.0).sum(axis=0) / count
