"""A score by properties of encoders: a mixed-effects regression with encoder and task as grouping factors."""

from collections.abc import Sequence

import numpy as np
import polars as pl
from scipy import stats

from analysis.resample import Array
from analysis.statistics.draws import Ids, codes
from analysis.statistics.intervals import p_value
from analysis.statistics.mixed import fit
from analysis.statistics.verdict import with_few_seeds
from datasets.errors import DataError

POINT = ("encoder", "task", "algorithm")


def regress(
    runs: pl.DataFrame,
    properties: pl.DataFrame,
    covariates: Sequence[str],
    confidence: float,
    response: str = "score",
    groups: Sequence[str] = ("encoder", "task"),
) -> pl.DataFrame:
    """Effect of each property on the response, the others held equal.

    Encoders and tasks have random intercepts, so that encoders, not runs, count as the sample. Seeds of a point are averaged;
    what a point adds to its encoder and task is the residual. Student's t with the degrees of freedom of the factor within which
    a property never varies: encoders less the covariates and one (exact where every encoder has every task).

    Args:
        runs: encoder, task, algorithm, seed, `response`.
        properties: encoder, `covariates` (numbers or bools). Encoders that lack one are left out.

    Returns:
        term, estimate, low, high, p, freedom, points, encoders, seeds (fewest of a point), few_seeds.

    Raises:
        DataError: too few encoders for so many covariates, or covariates that cannot be told apart.
    """
    points = runs.drop_nulls(response).group_by(POINT).agg(pl.col(response).mean(), pl.col("seed").n_unique().alias("seeds"))
    known = properties.select("encoder", *(pl.col(name).cast(pl.Float64) for name in covariates)).drop_nulls()
    points = points.join(known, on="encoder").sort(POINT)
    x = np.column_stack([np.ones(len(points)), points.select(covariates).to_numpy()])
    factors = [code for name in groups if 1 < (code := codes(points, name)).max(initial=0) + 1 < len(points)]
    encoders = points["encoder"].n_unique()
    if encoders < x.shape[1] + 2:
        raise DataError(f"{encoders} encoders are too few for {len(covariates)} properties")
    if np.linalg.matrix_rank((x - x.mean(0))[:, 1:]) < len(covariates):
        raise DataError(f"on these encoders {', '.join(covariates)} cannot be told apart, or one of them does not vary")
    found = fit(points[response].to_numpy(), x, factors)
    errors = np.sqrt(np.diag(found.covariance))
    rows = []
    for k, name in enumerate(covariates, 1):
        freedom = _freedom(x, k, factors)
        reach = stats.t.ppf((1 + confidence) / 2, freedom) * errors[k]
        effect = float(found.effects[k])
        rows.append((name, effect, effect - reach, effect + reach, p_value(effect, errors[k], freedom), freedom))
    table = pl.DataFrame(rows, schema=("term", "estimate", "low", "high", "p", "freedom"), orient="row")
    sizes = {"points": len(points), "encoders": encoders, "seeds": points["seeds"].min()}
    return with_few_seeds(table.with_columns(pl.lit(value).alias(name) for name, value in sizes.items()))


def _freedom(x: Array, k: int, factors: Sequence[Ids]) -> int:
    """Degrees of freedom of column k: levels of the smallest factor within which it is constant, less what is estimated there."""
    levels = [_constant(x, factor) for factor in factors]
    between = [factor.max() + 1 - int(constant.sum()) for factor, constant in zip(factors, levels, strict=True) if constant[k]]
    rest = len(x) - x.shape[1] - sum(int(factor.max()) for factor in factors)
    return int(min(between)) if between else rest


def _constant(x: Array, factor: Ids) -> Array:
    """bool [P]: which columns never vary within a level (the intercept never does)."""
    _, first = np.unique(factor, return_index=True)
    return (x == x[first][factor]).all(0)
