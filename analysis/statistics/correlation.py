"""How two columns of runs go together: Pearson's and Spearman's correlation, over all points or within tasks.

A point is one (encoder, task, algorithm): its seeds are averaged first. What is resampled are clusters of points. Ranks are taken
once, of all points: ranks of each resample, with its ties, make Spearman's intervals too wide.
"""

from collections.abc import Sequence

import numpy as np
import polars as pl
from scipy import stats

from analysis.resample import Array, Resampling
from analysis.statistics.draws import Ids, codes, counts
from analysis.statistics.intervals import p_value, standard_error, student_z, z_scale
from analysis.statistics.verdict import with_few_seeds
from datasets.errors import DataError

_FLAT = 1e-12  # a sum of squares this small beside that of all points is rounding
POINT = ("encoder", "task", "algorithm")


def correlations(runs: pl.DataFrame, x: str, y: str, how: Resampling, clusters: Sequence[str] = ("encoder",)) -> pl.DataFrame:
    """Four correlations of `x` and `y` with intervals.

    Args:
        runs: POINT, seed, `x`, `y`; a row without one of the two is left out.
        clusters: points that share these columns are drawn together; with `task` among them, each task keeps its number of
            clusters. An encoder that is good on one task tends to be good on others: then only whole encoders will do.

    Returns:
        x, y, kind (`pearson`, `spearman`), within_task (whether task means, or ranks, were taken out: partial correlation given
        the task), estimate, low, high, p, points, clusters, seeds (fewest of a point), few_seeds. Undefined values are null.

    Raises:
        DataError: no run has both.
    """
    points = averaged(runs, x, y)
    if points.is_empty():
        raise DataError(f"no run has both {x} and {y}")
    drawn, units, freedom = cluster_draws(points, clusters, how)
    tasks = codes(points, "task")
    values = points[x].to_numpy(), points[y].to_numpy()
    rows = []
    for kind in ("pearson", "spearman"):
        for within in (False, True):
            strata = tasks if within else np.zeros_like(tasks)
            a, b = (ranks(v, strata) for v in values) if kind == "spearman" else values
            estimate, resampled = float(correlate(a, b, np.ones((1, len(a))), strata)[0]), correlate(a, b, drawn, strata)
            low, high = student_z(estimate, resampled, how.confidence, units, freedom)
            z = float(z_scale(np.asarray(estimate)))
            p = p_value(z, standard_error(z_scale(resampled), units, freedom), freedom)
            rows.append((x, y, kind, within, estimate, low, high, p, len(points), units, points["seeds"].min()))
    names = ("x", "y", "kind", "within_task", "estimate", "low", "high", "p", "points", "clusters", "seeds")
    return with_few_seeds(pl.DataFrame(rows, schema=names, orient="row").with_columns(pl.col(pl.Float64).fill_nan(None)))


def averaged(runs: pl.DataFrame, x: str, y: str) -> pl.DataFrame:
    """POINT, `x`, `y` (means over seeds), seeds; sorted."""
    known = runs.drop_nulls([x, y])
    return known.group_by(POINT).agg(pl.col(x, y).mean(), pl.col("seed").n_unique().alias("seeds")).sort(POINT)


def cluster_draws(points: pl.DataFrame, clusters: Sequence[str], how: Resampling) -> tuple[Array, int, int]:
    """How often each point is drawn, float64 [resamples, points]; the number of clusters; degrees of freedom."""
    cluster = codes(points, *clusters)
    _, first = np.unique(cluster, return_index=True)
    strata = codes(points, "task")[first] if "task" in clusters else np.zeros(len(first), np.int64)
    return counts(strata, how)[:, cluster], len(first), len(first) - len(np.unique(strata)) - 1


def correlate(x: Array, y: Array, weights: Array, strata: Ids) -> Array:
    """Pearson's correlation of N weighted points, the means of their strata taken out.

    Args:
        x, y: [N]. weights: [resamples, N], how often each point counts.
        strata: int64 [N], from 0.

    Returns:
        [resamples]; nan where one side does not vary.
    """
    member = np.eye(strata.max() + 1)[strata]  # [N, strata]
    size = np.maximum(weights @ member, 1)
    a, b = (v - (v @ member / member.sum(0))[strata] for v in (x, y))  # lest large means cost digits
    of_a, of_b = (weights @ (member * v[:, None]) for v in (a, b))
    ab, aa, bb = (
        weights @ (u * v) - (of_u * of_v / size).sum(1)
        for u, v, of_u, of_v in ((a, b, of_a, of_b), (a, a, of_a, of_a), (b, b, of_b, of_b))
    )
    flat_a, flat_b = (_FLAT * (u @ u) + _FLAT**2 * (v @ v) for u, v in ((a, x), (b, y)))
    varies = (aa > flat_a) & (bb > flat_b)
    with np.errstate(all="ignore"):
        return np.where(varies, np.clip(ab / np.sqrt(aa * bb), -1, 1), np.nan)


def ranks(values: Array, strata: Ids) -> Array:
    """Mid-rank of each value within its stratum, over the number of values there + 1. [N] -> [N]."""
    ranked = np.empty(len(values))
    order = np.argsort(strata, kind="stable")
    for members in np.split(order, np.flatnonzero(np.diff(strata[order])) + 1):
        ranked[members] = stats.rankdata(values[members]) / (len(members) + 1)
    return ranked
