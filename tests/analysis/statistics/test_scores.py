"""Scores are rliable's (its own code gave the constants), and no interval is more certain than the runs allow."""

import numpy as np
import polars as pl
import pytest
from scipy import stats

from analysis.resample import Resampling
from analysis.statistics import intervals
from analysis.statistics.draws import counts
from analysis.statistics.improvement import improvements
from analysis.statistics.scores import aggregates, iqm, mean, median, profiles

HOW = Resampling(resamples=4000, confidence=0.95, seed=0)


def runs(encoder: str, scores: np.ndarray) -> pl.DataFrame:
    """Scores [seeds, tasks] as a table."""
    rows = [(encoder, "a", f"task {t}", s, float(scores[s, t])) for s in range(len(scores)) for t in range(scores.shape[1])]
    return pl.DataFrame(rows, schema=["encoder", "algorithm", "task", "seed", "score"], orient="row")


@pytest.fixture(scope="module")
def two() -> pl.DataFrame:
    """What rliable 1.2.0 was given, too."""
    rng = np.random.default_rng(3)
    one, other = np.round(rng.gamma(2, 0.3, size=(7, 4)), 3), np.round(rng.gamma(2, 0.35, size=(5, 4)), 3)
    return pl.concat([runs("one", one), runs("other", other)])


def test_aggregates_are_rliable_s(two: pl.DataFrame) -> None:
    table = aggregates(two, HOW).filter(encoder="one")
    theirs = {"iqm": 0.5296428571, "mean": 0.6129285714, "median": 0.6012857143, "optimality_gap": 0.4489285714}
    assert dict(table.select("metric", "estimate").iter_rows()) == pytest.approx(theirs, abs=1e-9)
    assert table.select("runs", "tasks", "seeds", "few_seeds").unique().row(0) == (28, 4, 7, False)


def test_profile_and_probability_of_improvement_are_rliable_s(two: pl.DataFrame) -> None:
    profile = profiles(two, [0.2, 0.5, 1.0], HOW).filter(encoder="one")
    assert profile["estimate"].to_list() == pytest.approx([0.9285714286, 0.5714285714, 0.1071428571], abs=1e-9)
    pairs = improvements(two, HOW)
    assert dict(pairs.select("x", "estimate").iter_rows()) == pytest.approx({"one": 0.4, "other": 0.6}, abs=1e-9)
    assert (pairs["low"] < pairs["estimate"]).all() and (pairs["estimate"] < pairs["high"]).all()
    assert pairs["seeds"].to_list() == [5, 5]


def test_percentiles_of_the_same_resampling_are_rliable_s(two: pl.DataFrame) -> None:
    """Its stratified bootstrap (20,000 resamples) by its own random numbers; ours must agree up to their noise."""
    own = two.filter(encoder="one").sort("task")
    values, tasks = own["score"].to_numpy(), np.repeat(np.arange(4), 7)
    drawn = counts(tasks, HOW)
    theirs = {iqm: (0.439142857, 0.638858929), mean: (0.486391964, 0.759679464), median: (0.435857143, 0.767642857)}
    for figure, (low, high) in theirs.items():
        assert intervals.percentile(figure(values, tasks, drawn), 0.95) == pytest.approx((low, high), abs=0.012)


def test_iqm_of_every_resample_is_scipy_s_trimmed_mean() -> None:
    rng = np.random.default_rng(0)
    for size in (3, 4, 7, 30):
        values = np.round(rng.normal(size=size), 1)  # with ties
        drawn = counts(np.zeros(size, np.int64), Resampling(50, 0.95, 0))
        expected = [stats.trim_mean(np.repeat(values, row.astype(int)), 0.25) for row in drawn]
        np.testing.assert_allclose(iqm(values, np.zeros(size, np.int64), drawn), expected, atol=1e-12)


def test_probability_of_improvement_is_mann_and_whitney_s_u() -> None:
    rng = np.random.default_rng(1)
    x, y = np.round(rng.normal(size=(6, 1)), 1), np.round(rng.normal(0.4, 1, size=(9, 1)), 1)
    table = improvements(pl.concat([runs("x", x), runs("y", y)]), HOW)
    assert table["estimate"][0] == pytest.approx(stats.mannwhitneyu(x[:, 0], y[:, 0]).statistic / (6 * 9))


def test_resamples_keep_every_task_s_number_of_runs() -> None:
    tasks = np.array([0, 1, 0, 1, 1, 2])
    drawn = counts(tasks, HOW)
    for task in range(3):
        assert set(drawn[:, tasks == task].sum(1)) == {(tasks == task).sum()}
    np.testing.assert_array_equal(drawn, counts(tasks, HOW))


def test_an_interval_of_one_task_s_mean_is_student_s() -> None:
    values = np.random.default_rng(2).normal(size=(12, 1))
    row = aggregates(runs("e", values), Resampling(40000, 0.9, 0)).filter(metric="mean")
    expected = stats.t.interval(0.9, 11, values.mean(), stats.sem(values[:, 0]))
    assert (row["low"][0], row["high"][0]) == pytest.approx(expected, abs=0.01)


def test_one_seed_has_no_interval_and_two_are_few() -> None:
    rng = np.random.default_rng(4)
    for seeds in (1, 2, 3):
        table = aggregates(runs("e", rng.normal(size=(seeds, 5))), HOW)
        assert (table["few_seeds"] == (seeds < 3)).all()
        assert table["low"].is_null().all() == (seeds == 1)


def test_tasks_with_different_numbers_of_seeds_count_alike_in_the_mean() -> None:
    table = pl.concat([runs("e", np.full((3, 1), 1.0)), runs("e", np.full((9, 1), 0.0)).with_columns(task=pl.lit("other"))])
    found = dict(aggregates(table, HOW).select("metric", "estimate").iter_rows())
    assert found["mean"] == 0.5 and found["median"] == 0.5
    assert aggregates(table, HOW)["seeds"].unique().to_list() == [3]


def test_winning_every_pair_is_not_certainty() -> None:
    """Resamples of separated scores never vary: the bound is that of as many coin tosses as there are disjoint pairs."""
    table = improvements(pl.concat([runs("x", np.arange(3.0)[:, None] + 10), runs("y", np.arange(3.0)[:, None])]), HOW)
    bound = 0.025 ** (1 / 3)
    np.testing.assert_allclose(table.select("estimate", "low", "high").rows(), [(1, bound, 1), (0, 0, 1 - bound)])
    share = profiles(runs("x", np.full((4, 5), 0.9)), [0.5], HOW)
    assert share["low"][0] == pytest.approx(stats.binomtest(20, 20).proportion_ci(0.95).low)
