"""Whether returns go with errors: correlations over points (encoder, task, algorithm), within tasks and algorithms."""

import numpy as np
import polars as pl

from analysis.claims.contrasts import Estimate
from analysis.resample import Resampling
from analysis.statistics.correlation import POINT, cluster_draws, correlate, correlations
from analysis.statistics.draws import codes
from analysis.statistics.intervals import p_value, standard_error, student

FEW_POINTS = 5
OF_STUDY = {"dreamerv3": "kl", "tdmpc2": "latent_mse"}  # what the study calls dynamics error
RUN = (*POINT, "seed")


def within(runs: pl.DataFrame) -> pl.DataFrame:
    """`runs` with the algorithm in the task's name: the two together are the stratum, as errors of two do not compare."""
    return runs.with_columns(task=pl.format("{} {}", "task", "algorithm"))


def correlation(runs: pl.DataFrame, x: str, y: str, how: Resampling) -> Estimate | None:
    """Pearson's, the means of task and algorithm taken out; whole encoders are resampled. None without a point."""
    known = runs.drop_nulls([x, y])
    if known.is_empty():
        return None
    found = correlations(within(known), x, y, how).row(
        by_predicate=(pl.col("kind") == "pearson") & pl.col("within_task"), named=True
    )
    estimate, low, high, p = (float("nan") if found[n] is None else float(found[n]) for n in ("estimate", "low", "high", "p"))
    return Estimate(estimate, low, high, p, found["clusters"], known["task"].n_unique(), found["seeds"])


def difference(runs: pl.DataFrame, x: str, other: str, y: str, how: Resampling) -> Estimate | None:
    """Correlation of `x` and `y` less that of `other` and `y`, on the same resampled encoders."""
    known = runs.drop_nulls([x, other, y])
    if known.is_empty():
        return None
    points = within(known).group_by(POINT).agg(pl.col(x, other, y).mean(), pl.col("seed").n_unique().alias("seeds")).sort(POINT)
    drawn, units, freedom = cluster_draws(points, ["encoder"], how)
    strata = codes(points, "task")

    def both(weights: np.ndarray) -> np.ndarray:
        first, second = (correlate(points[name].to_numpy(), points[y].to_numpy(), weights, strata) for name in (x, other))
        return first - second

    estimate, resampled = float(both(np.ones((1, len(points))))[0]), both(drawn)
    low, high = student(estimate, resampled, how.confidence, units, freedom)
    p = p_value(estimate, standard_error(resampled, units, freedom), freedom)
    return Estimate(estimate, low, high, p, units, known["task"].n_unique(), min(points["seeds"]))


def dynamics_error(dynamics: pl.DataFrame) -> pl.DataFrame:
    """RUN, dynamics: mean over the predictions under the default look, of KL(posterior, prior) for DreamerV3 and the squared
    error of the predicted latent for TD-MPC2, as in the study; of others the error of the predicted embedding."""
    wanted = pl.col("algorithm").replace_strict(OF_STUDY, default="embedding_nmse")
    chosen = dynamics.filter(pl.col("axis") == "default", pl.col("metric") == wanted, pl.col("value").is_finite())
    mean = (pl.col("value") * pl.col("n")).sum() / pl.col("n").sum()
    return chosen.group_by(RUN).agg(dynamics=mean).sort(RUN)
