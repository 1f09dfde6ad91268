"""Correlations equal scipy's, partial ones the regression residuals', and whole encoders are resampled."""

import numpy as np
import polars as pl
import pytest
from scipy import stats

from analysis.resample import Resampling
from analysis.statistics import intervals
from analysis.statistics.correlation import averaged, cluster_draws, correlate, correlations, ranks
from analysis.statistics.draws import counts
from datasets.errors import DataError

HOW = Resampling(resamples=2000, confidence=0.95, seed=0)


def table(encoders: int, tasks: int, seeds: int, within: float, seed: int = 0) -> pl.DataFrame:
    """Runs whose error and score correlate by `within` on every task; task means correlate the other way."""
    rng = np.random.default_rng(seed)
    shape = (encoders, tasks, seeds)
    error = np.broadcast_to(rng.normal(size=(encoders, tasks, 1)), shape)
    score = within * error + np.sqrt(1 - within**2) * np.broadcast_to(rng.normal(size=(encoders, tasks, 1)), shape)
    level = np.linspace(0, -8 * np.sign(within), tasks)[None, :, None]
    index = dict(zip(("encoder", "task", "seed"), np.indices(shape).reshape(3, -1), strict=True))
    values = {"error": (error - np.sign(within) * level).ravel(), "score": (score + level).ravel()}
    return pl.DataFrame(index | values | {"algorithm": "a"})


def only(found: pl.DataFrame, kind: str, within_task: bool) -> dict:
    return found.row(by_predicate=(pl.col("kind") == kind) & (pl.col("within_task") == within_task), named=True)


def test_they_are_scipy_s() -> None:
    points = table(20, 1, 1, -0.6).with_columns(pl.col("error").round(1))
    found = correlations(points, "error", "score", HOW)
    x, y = points["error"].to_numpy(), points["score"].to_numpy()
    assert only(found, "pearson", False)["estimate"] == pytest.approx(stats.pearsonr(x, y).statistic, abs=1e-12)
    assert only(found, "spearman", False)["estimate"] == pytest.approx(stats.spearmanr(x, y).statistic, abs=1e-12)
    assert only(found, "pearson", True)["estimate"] == only(found, "pearson", False)["estimate"]  # one task


def test_the_partial_correlation_is_that_of_the_residuals_given_the_task() -> None:
    runs = table(15, 4, 1, -0.7)
    dummies = (runs["task"].to_numpy()[:, None] == np.arange(4)).astype(float)
    columns = runs["error"].to_numpy(), runs["score"].to_numpy()
    residuals = [v - dummies @ np.linalg.lstsq(dummies, v, rcond=None)[0] for v in columns]
    found = correlations(runs, "error", "score", HOW)
    assert only(found, "pearson", True)["estimate"] == pytest.approx(stats.pearsonr(*residuals).statistic, abs=1e-12)


@pytest.mark.parametrize("kind", ["pearson", "spearman"])
def test_what_holds_within_tasks_is_not_drowned_by_their_levels(kind: str) -> None:
    found = correlations(table(30, 5, 3, -0.7), "error", "score", HOW)
    inside, across = only(found, kind, True), only(found, kind, False)
    assert inside["low"] < -0.7 < inside["high"] < 0 < across["low"]
    assert (inside["points"], inside["clusters"], inside["seeds"], inside["few_seeds"]) == (150, 30, 3, False)


def test_seeds_are_averaged_and_do_not_pass_for_points() -> None:
    once, thrice = table(12, 2, 1, 0.5), table(12, 2, 3, 0.5)
    assert averaged(thrice, "error", "score").height == 24
    one, three = (correlations(runs, "error", "score", HOW) for runs in (once, thrice))
    assert three["seeds"].unique().to_list() == [3] and one["few_seeds"].all()
    np.testing.assert_allclose(one["estimate"], three["estimate"])
    np.testing.assert_allclose(one["high"] - one["low"], three["high"] - three["low"])


def test_a_resample_holds_whole_encoders_or_keeps_each_task_s_number() -> None:
    points = averaged(table(6, 3, 1, 0.5), "error", "score")
    whole, units, freedom = cluster_draws(points, ["encoder"], HOW)
    assert (units, freedom) == (6, 4)
    by_encoder = whole.reshape(-1, 6, 3)
    np.testing.assert_array_equal(by_encoder, by_encoder[:, :, :1].repeat(3, axis=2))
    each, units, freedom = cluster_draws(points, ["encoder", "task"], HOW)
    assert (units, freedom) == (18, 14)
    np.testing.assert_array_equal(each.reshape(-1, 6, 3).sum(1), 6)


def test_resampled_correlations_are_those_of_the_rows_drawn() -> None:
    rng = np.random.default_rng(5)
    x, y, strata = rng.normal(1e4, 1, 12), rng.normal(size=12), np.repeat([0, 1], 6)
    drawn = counts(np.zeros(12, np.int64), Resampling(20, 0.95, 0))
    for weights, value in zip(drawn, correlate(x, y, drawn, strata), strict=True):
        rows = np.repeat(np.arange(12), weights.astype(int))
        a, b = (v[rows] - np.array([v[rows][strata[rows] == s].mean() for s in strata[rows]]) for v in (x, y))
        assert value == pytest.approx((a @ b) / np.sqrt((a @ a) * (b @ b)), abs=1e-8)


def test_ranks_are_mid_ranks_of_their_stratum() -> None:
    values, strata = np.array([3.0, 1.0, 3.0, 10.0, 20.0]), np.array([0, 0, 0, 1, 1])
    np.testing.assert_allclose(ranks(values, strata), [2.5 / 4, 1 / 4, 2.5 / 4, 1 / 3, 2 / 3])


def test_what_does_not_vary_has_no_correlation() -> None:
    found = correlations(table(8, 1, 3, 0.5).with_columns(error=pl.lit(0.1)), "error", "score", HOW)
    assert found["estimate"].is_null().all() and found["low"].is_null().all() and found["p"].is_null().all()


def test_three_points_say_nothing_firm() -> None:
    found = only(correlations(table(3, 1, 3, 0.5), "error", "score", HOW), "pearson", False)
    assert found["high"] - found["low"] > 1.9
    for encoders in (1, 2):
        assert correlations(table(encoders, 1, 3, 0.5), "error", "score", HOW).select("low", "high", "p").null_count().row(0) == (
            4,
            4,
            4,
        )
    with pytest.raises(DataError, match="no run has both error and score"):
        correlations(table(2, 1, 3, 0.5).clear(), "error", "score", HOW)


def test_p_and_interval_agree_on_what_is_an_effect() -> None:
    for seed in range(30):
        found = correlations(table(17, 1, 3, 0.3, seed), "error", "score", HOW).drop_nulls("p")
        excluded = (found["low"] > 0) | (found["high"] < 0)
        assert excluded.to_list() == (found["p"] < 0.05).to_list()


def test_bca_agrees_with_scipy_s() -> None:
    rng = np.random.default_rng(6)
    x = rng.normal(size=25)
    y = 0.6 * x + rng.normal(size=25)
    one = np.zeros(25, np.int64)
    drawn = counts(one, Resampling(20000, 0.95, 0))
    estimate = float(correlate(x, y, np.ones((1, 25)), one)[0])
    ours = intervals.bca(estimate, correlate(x, y, drawn, one), correlate(x, y, 1 - np.eye(25), one), 0.95)
    theirs = stats.bootstrap(
        (x, y), lambda a, b: stats.pearsonr(a, b).statistic, paired=True, vectorized=False, n_resamples=5000, method="BCa", rng=1
    )
    assert ours == pytest.approx(tuple(theirs.confidence_interval), abs=0.02)
    assert intervals.fisher(estimate, 25, 0.95) == pytest.approx(tuple(stats.pearsonr(x, y).confidence_interval(0.95)), abs=1e-12)
