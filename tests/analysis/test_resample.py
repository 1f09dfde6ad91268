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


def as_table(reward: np.ndarray, predicted: np.ndarray) -> pl.DataFrame:
    """Sums of predictions [episodes, steps] as `errors_by` takes them."""
    rows = [sums_of(r, p) for r, p in zip(reward, predicted, strict=True)]
    keys = {"encoder": "e", "algorithm": "a", "task": "k", "seed": 0, "axis": "default", "severity": 0.0}
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
    drawn = weights(3, 7, HOW)
    assert drawn.shape == (HOW.resamples, 21)
    np.testing.assert_array_equal(drawn.sum(1), 21)
    by_seed = drawn.reshape(-1, 3, 7)
    np.testing.assert_array_equal(by_seed.sum(2) % 7, 0)  # a seed that is drawn brings all the resample's episodes
    np.testing.assert_array_equal(weights(1, 7, HOW).sum(1), 7)
    np.testing.assert_array_equal(drawn, weights(3, 7, HOW))


def test_the_interval_agrees_with_scipy_s_percentile_bootstrap() -> None:
    rng = np.random.default_rng(1)
    reward = rng.normal(size=(20, 30))
    predicted = reward + rng.normal(size=(20, 30)) * rng.uniform(0.2, 1, (20, 1))
    table = errors_by(as_table(reward, predicted), ("axis", "severity"), Resampling(20000, 0.9, 0))
    per_episode = np.abs(predicted - reward).mean(1)
    theirs = scipy.stats.bootstrap((per_episode,), np.mean, confidence_level=0.9, n_resamples=20000, method="percentile", rng=1)
    assert table["mae_low"][0] == pytest.approx(theirs.confidence_interval.low, abs=0.005)
    assert table["mae_high"][0] == pytest.approx(theirs.confidence_interval.high, abs=0.005)


def test_intervals_of_the_error_cover_the_truth() -> None:
    """300 repetitions of 20 episodes whose errors differ; percentile intervals are known to be a little short."""
    rng = np.random.default_rng(2)
    covered = 0
    for _ in range(300):
        scale = rng.gamma(4, 0.25, (20, 1))  # mean 1, so the expected absolute error is sqrt(2 / pi)
        table = errors_by(as_table(np.zeros((20, 40)), rng.normal(size=(20, 40)) * scale), ("axis", "severity"), HOW)
        covered += table["mae_low"][0] <= np.sqrt(2 / np.pi) <= table["mae_high"][0]
    assert 0.87 <= covered / 300 <= 0.98


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
    counts = [d.resampled[:, :, 0] for d in draw(planted, KEYS, HOW)]
    for other in counts[1:]:
        np.testing.assert_array_equal(counts[0], other)
