"""Estimates equal textbook formulas; intervals come from whole episodes and cover the truth about as often as they claim."""

import numpy as np
import polars as pl
import pytest
import scipy.stats

from analysis.errors import contrasts, errors_by
from analysis.resample import Resampling, draw, interval, mae, r2, weights
from analysis.sums import STATISTICS, episode_sums
from tests.analysis.planted import AXES, Size, planted_r2, reward_error

HOW = Resampling(resamples=400, confidence=0.95, seed=0)
KEYS = ("axis", "severity", "horizon", "horizon_to")


def sums_of(reward: np.ndarray, predicted: np.ndarray) -> np.ndarray:
    error = predicted - reward
    return np.array([len(reward), reward.sum(), (reward**2).sum(), predicted.sum(), (error**2).sum(), np.abs(error).sum()])


def as_table(reward: np.ndarray, predicted: np.ndarray, seed: int = 0) -> pl.DataFrame:
    """Sums of predictions [episodes, steps] as `errors_by` takes them."""
    rows = [sums_of(r, p) for r, p in zip(reward, predicted, strict=True)]
    keys = {"encoder": "e", "algorithm": "a", "task": "k", "seed": seed, "axis": "default", "severity": 0.0}
    table = pl.DataFrame(np.array(rows), schema=list(STATISTICS))
    return table.with_columns(**{k: pl.lit(v) for k, v in keys.items()}, episode=pl.int_range(pl.len()))


def test_r2_and_mae_are_the_textbook_s() -> None:
    rng = np.random.default_rng(0)
    reward, predicted = rng.normal(3, 2, 500), rng.normal(3, 2, 500)
    sums = sums_of(reward, predicted)
    assert r2(sums) == pytest.approx(1 - ((reward - predicted) ** 2).sum() / ((reward - reward.mean()) ** 2).sum(), rel=1e-10)
    assert mae(sums) == pytest.approx(np.abs(reward - predicted).mean(), rel=1e-12)


def test_r2_of_a_reward_that_does_not_vary_is_undefined() -> None:
    assert np.isnan(r2(sums_of(np.full(50, 0.3), np.linspace(0, 1, 50))))
    assert np.isnan(r2(np.zeros(len(STATISTICS)))) and np.isnan(mae(np.zeros(len(STATISTICS))))


def test_a_resample_has_as_many_episodes_and_seeds() -> None:
    rng = np.random.default_rng(0)
    tables = [as_table(rng.normal(size=(7, 5)), rng.normal(size=(7, 5)), seed) for seed in range(3)]
    (drawn,) = draw(pl.concat(tables), ("axis", "severity"), HOW)
    total, by_episode, by_seed, by_both = (source[..., 0] for source in drawn.sources)  # counts
    assert total == 3 * 7 * 5 and (drawn.episodes, drawn.seeds, drawn.present[0, 0]) == (7, 3, 7)
    for resampled in (by_episode, by_seed, by_both):
        np.testing.assert_array_equal(resampled, np.full((HOW.resamples, 1), 3 * 7 * 5))
    np.testing.assert_array_equal(weights(7, HOW).sum(1), 7)
    np.testing.assert_array_equal(weights(7, HOW), weights(7, HOW))


def test_the_interval_is_student_s_of_scipy_s_bootstrap_error() -> None:
    rng = np.random.default_rng(1)
    reward = rng.normal(size=(20, 30))
    predicted = reward + rng.normal(size=(20, 30)) * rng.uniform(0.2, 1, (20, 1))
    row = errors_by(as_table(reward, predicted), ("axis", "severity"), Resampling(20000, 0.9, 0)).row(0, named=True)
    per_episode = np.abs(predicted - reward).mean(1)
    theirs = scipy.stats.bootstrap((per_episode,), lambda x, axis: np.log(x.mean(axis)), n_resamples=20000, method="basic", rng=1)
    reach = scipy.stats.t.ppf(0.95, 19) * theirs.standard_error * np.sqrt(20 / 19)
    assert row["mae_low"] == pytest.approx(row["mae"] * np.exp(-reach), rel=0.01)
    assert row["mae_high"] == pytest.approx(row["mae"] * np.exp(reach), rel=0.01)


def test_a_single_mean_gets_student_s_textbook_interval() -> None:
    rng = np.random.default_rng(3)
    error = np.repeat(rng.normal(size=(12, 1)), 5, axis=1)
    row = errors_by(as_table(np.zeros((12, 5)), error), ("axis", "severity"), Resampling(40000, 0.95, 0)).row(0, named=True)
    expected = scipy.stats.t.interval(0.95, 11, error[:, 0].mean(), scipy.stats.sem(error[:, 0]))
    assert (row["bias_low"], row["bias_high"]) == pytest.approx(expected, abs=0.02)


def test_seeds_that_differ_count_as_the_sample() -> None:
    """Models of bias a_s on episodes without a say: Student's interval of three values, not of sixty episodes."""
    levels = np.array([0.1, 0.5, 0.3])
    rng = np.random.default_rng(4)
    tables = [as_table(np.zeros((60, 5)), level + 1e-3 * rng.normal(size=(60, 5)), s) for s, level in enumerate(levels)]
    row = errors_by(pl.concat(tables), ("axis", "severity"), Resampling(40000, 0.95, 0)).row(0, named=True)
    expected = scipy.stats.t.interval(0.95, 2, levels.mean(), scipy.stats.sem(levels))
    assert (row["bias_low"], row["bias_high"]) == pytest.approx(expected, abs=0.01)
    model = as_table(np.zeros((60, 5)), rng.normal(size=(60, 5)))
    copies = pl.concat([model.with_columns(seed=pl.lit(s)) for s in range(3)])
    one = errors_by(model, ("axis", "severity"), HOW)
    three = errors_by(copies, ("axis", "severity"), HOW)
    for name in ("mae_low", "mae_high"):
        assert one[name][0] == pytest.approx(three[name][0], rel=1e-6)  # copies are no new models


def test_one_episode_shows_no_spread() -> None:
    one = as_table(np.zeros((1, 5)), np.ones((1, 5)) * 0.5)
    row = errors_by(one, ("axis", "severity"), HOW).row(0, named=True)
    assert row["mae"] == 0.5 and row["mae_low"] is None and row["mae_high"] is None


def test_predictions_without_error_have_none() -> None:
    exact = np.random.default_rng(5).normal(size=(9, 5))
    row = errors_by(as_table(exact, exact), ("axis", "severity"), HOW).row(0, named=True)
    assert (row["mae"], row["mae_low"], row["mae_high"]) == (0, 0, 0)
    assert (row["r2"], row["r2_low"], row["r2_high"]) == (1, 1, 1)


def test_draws_that_miss_a_group_are_left_out() -> None:
    low, high = interval(np.array([[np.nan, np.nan], [1.0, np.nan], [3.0, np.nan]]), 0.5)
    assert (low[0], high[0]) == (1.5, 2.5)
    assert np.isnan(low[1]) and np.isnan(high[1])


@pytest.fixture(scope="module")
def planted() -> pl.DataFrame:
    size = Size(episodes=15, steps=120, short=5, long_starts=2, seeds=(0, 1))
    return pl.concat([episode_sums(reward_error(e, size).lazy(), size.short) for e in ("state", "scratch", "autoencoder")])


def test_planted_r2_is_recovered(planted: pl.DataFrame) -> None:
    table = errors_by(planted, KEYS, HOW)
    for row in table.filter(pl.col("horizon") <= 5).iter_rows(named=True):
        truth = planted_r2(row["encoder"], row["axis"], row["severity"], row["horizon"])
        assert row["r2"] == pytest.approx(truth, abs=0.05)
        assert row["r2_low"] <= row["r2"] <= row["r2_high"]
    assert (table["seeds"] == 2).all() and (table["episodes"] == 15).all()


def test_error_grows_with_severity_and_horizon(planted: pl.DataFrame) -> None:
    table = errors_by(planted, KEYS, HOW)
    for encoder in ("scratch", "autoencoder"):
        own = table.filter(pl.col("encoder") == encoder)
        for axis in AXES:
            increase = own.filter(pl.col("axis") == axis, pl.col("horizon") == 0).sort("severity")
            assert increase["mae_increase"].diff().drop_nulls().gt(0).all() and increase["mae_increase_low"].gt(0).all()
        near = own.filter(pl.col("axis") == "default", pl.col("horizon") <= 5).sort("horizon")
        assert near["mae"].diff().drop_nulls().gt(0).all()


def test_a_representation_blind_to_looks_has_exactly_no_increase(planted: pl.DataFrame) -> None:
    own = errors_by(planted, KEYS, HOW).filter(pl.col("encoder") == "state")
    for name in ("mae_increase", "mae_increase_low", "mae_increase_high"):
        assert (own[name] == 0).all()
    assert (own["mae_ratio"] == 1).all()


def test_pairing_makes_the_increase_s_interval_narrower_than_its_parts(planted: pl.DataFrame) -> None:
    row = errors_by(planted, KEYS, HOW).filter(
        pl.col("encoder") == "scratch", pl.col("axis") == "camera", pl.col("severity") == 0.25, pl.col("horizon") == 0
    )
    assert (row["mae_increase_high"] - row["mae_increase_low"])[0] < (row["mae_high"] - row["mae_low"])[0]


def test_contrasts_have_the_planted_sign(planted: pl.DataFrame) -> None:
    table = contrasts(planted, "scratch", [0, 5], HOW)
    assert set(table["encoder"]) == {"state", "autoencoder"}
    filtering = table.filter(pl.col("horizon") == 0, ~pl.col("shifted"))
    assert (filtering["difference_high"] < 0).all()  # both were planted better than scratch
    np.testing.assert_allclose(table["difference"], table["mae"] - table["reference_mae"])


def test_looks_of_equal_severity_are_pooled(planted: pl.DataFrame) -> None:
    twice = pl.concat([planted, planted.filter(pl.col("axis") == "camera").with_columns(variant=pl.lit("another draw"))])
    one, two = (errors_by(sums, KEYS, HOW).filter(pl.col("axis") == "camera") for sums in (planted, twice))
    assert two["n"].to_list() == [2 * n for n in one["n"]]
    np.testing.assert_allclose(one["mae"], two["mae"])


def test_the_same_resamples_serve_every_representation(planted: pl.DataFrame) -> None:
    counts = [d.sources[1][:, :, 0] for d in draw(planted, KEYS, HOW)]
    for other in counts[1:]:
        np.testing.assert_array_equal(counts[0], other)
