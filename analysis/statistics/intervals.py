"""From resamples to a confidence interval.

`draws` are float64 [resamples], `freedom` is units less strata: the degrees of freedom of the units' spread.
"""

import numpy as np
from scipy import stats

from analysis.resample import Array, interval

Interval = tuple[float, float]
UNDEFINED = (float("nan"), float("nan"))
_EDGE = 1 - 1e-9


def percentile(draws: Array, confidence: float) -> Interval:
    """Efron and Tibshirani 1993, section 13.3. Too short for few units: it lacks both Student's t and n / (n - 1)."""
    low, high = interval(draws[:, None], confidence)
    return float(low[0]), float(high[0])


def student(estimate: float, draws: Array, confidence: float, units: int, freedom: int) -> Interval:
    """Estimate -+ Student's t x the resamples' standard deviation, of which n / (n - 1) is put right."""
    if freedom < 1:
        return UNDEFINED
    reach = stats.t.ppf((1 + confidence) / 2, freedom) * standard_error(draws, units, freedom)
    return float(estimate - reach), float(estimate + reach)


def standard_error(draws: Array, units: int, freedom: int) -> float:
    """Standard deviation of the resamples, times sqrt(units / freedom)."""
    finite = draws[np.isfinite(draws)]
    return float(np.std(finite) * np.sqrt(units / freedom)) if len(finite) and freedom > 0 else float("nan")


def share(estimate: float, draws: Array, confidence: float, units: int, freedom: int, trials: int) -> Interval:
    """Of a probability: `student` within [0, 1], and Clopper and Pearson's 1934 where all of `trials` or none came out so.

    There resamples do not vary. Trials of unequal probability make that bound only safer.
    """
    if 0 < estimate < 1:
        low, high = student(estimate, draws, confidence, units, freedom)
        return max(low, 0.0), min(high, 1.0)
    if freedom < 1:
        return UNDEFINED
    bound = ((1 - confidence) / 2) ** (1 / trials)
    return (bound, 1.0) if estimate == 1 else (0.0, 1 - bound)


def bca(estimate: float, draws: Array, left_out: Array, confidence: float) -> Interval:
    """Bias-corrected and accelerated (Efron 1987).

    Args:
        left_out: float64 [units], the estimate without each unit.
    """
    draws = draws[np.isfinite(draws)]
    below = np.mean(draws < estimate) + np.mean(draws == estimate) / 2
    bias = stats.norm.ppf(np.clip(below, 1 / len(draws), 1 - 1 / len(draws)))
    moved = left_out.mean() - left_out
    acceleration = (moved**3).sum() / (6 * (moved**2).sum() ** 1.5)
    tails = bias + stats.norm.ppf([(1 - confidence) / 2, (1 + confidence) / 2])
    low, high = np.quantile(draws, stats.norm.cdf(bias + tails / (1 - acceleration * tails)))
    return float(low), float(high)


def fisher(correlation: float, points: int, confidence: float) -> Interval:
    """Fisher's z: of the correlation of independent, jointly normal points."""
    reach = stats.norm.ppf((1 + confidence) / 2) / np.sqrt(points - 3) if points > 3 else np.nan
    z = z_scale(np.asarray(correlation))
    return float(np.tanh(z - reach)), float(np.tanh(z + reach))


def z_scale(correlation: Array) -> Array:
    """Fisher's z, artanh, finite also at -1 and 1."""
    return np.arctanh(np.clip(correlation, -_EDGE, _EDGE))


def student_z(correlation: float, draws: Array, confidence: float, units: int, freedom: int) -> Interval:
    """`student` on Fisher's z scale: neither normality nor independence within units is assumed."""
    low, high = student(float(z_scale(np.asarray(correlation))), z_scale(draws), confidence, units, freedom)
    return float(np.tanh(low)), float(np.tanh(high))


def p_value(estimate: float, error: float, freedom: int) -> float:
    """Two-sided, that the true value is 0, by Student's t."""
    return float(2 * stats.t.sf(abs(estimate) / error, freedom)) if freedom > 0 and error > 0 else float("nan")
