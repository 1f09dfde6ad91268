"""Measures equal scipy's, a plain loop's and what was planted, and are undefined where nothing can be said."""

import numpy as np
import polars as pl
import pytest
from scipy import stats

from analysis import accumulated, seeds, sparse
from analysis.gathered import gather
from analysis.measures import measures, reliability
from analysis.resample import Resampling
from analysis.tables import REWARD_ERROR
from datasets.errors import DataError
from tests.analysis.planted import Size, reward_error

HOW = Resampling(resamples=400, confidence=0.95, seed=0)
SIZE = Size(episodes=10, steps=60, short=3, long_starts=2, severities=(1.0,), seeds=(0, 1, 2))
AT = {"axis": "default", "horizon": 0}


def table(reward: np.ndarray, predicted: np.ndarray) -> pl.DataFrame:
    """Filtering predictions [seeds, episodes, steps] of rewards [episodes, steps], as `evaluate` writes them."""
    seed, episode, t = np.indices(predicted.shape).reshape(3, -1)
    columns = {"seed": seed, "episode": episode, "t": t + 1, "horizon": np.zeros_like(t)}
    columns |= {"reward": np.broadcast_to(reward, predicted.shape).ravel(), "reward_pred": predicted.ravel()}
    keys = {"encoder": "e", "algorithm": "a", "preset": "p", "task": "k", "variant": "default", "axis": "default", "split": "id"}
    rows = pl.DataFrame(columns).with_columns(pl.lit(value).alias(name) for name, value in keys.items())
    filled = rows.with_columns(severity=pl.lit(0.0), quality=pl.lit("random"))
    return filled.select(pl.col(name).cast(dtype) for name, dtype in REWARD_ERROR.items())


def found(part: pl.DataFrame, **at: object) -> dict[str, dict]:
    rows = measures(part.lazy(), 3, HOW).filter(**at)
    return {row["measure"]: row for row in rows.iter_rows(named=True)}


@pytest.fixture(scope="module")
def part() -> pl.DataFrame:
    return reward_error("scratch", SIZE)


@pytest.fixture(scope="module")
def one(part: pl.DataFrame) -> pl.DataFrame:
    return part.filter(pl.col("seed") == 0)


def test_spearman_is_scipy_s(one: pl.DataFrame) -> None:
    coarse = one.with_columns(pl.col("reward").round(1))  # with ties
    for horizon in (0, 3):
        rows = coarse.filter(axis="default", horizon=horizon)
        expected = stats.spearmanr(rows["reward"], rows["reward_pred"]).statistic
        assert found(coarse, axis="default", horizon=horizon)["spearman"]["value"] == pytest.approx(expected, abs=1e-9)


def test_calibration_is_the_regression_of_the_reward_on_its_prediction(one: pl.DataFrame) -> None:
    rows, own = one.filter(**AT), found(one, **AT)
    line = stats.linregress(rows["reward_pred"].cast(pl.Float64), rows["reward"].cast(pl.Float64))
    assert own["calibration_slope"]["value"] == pytest.approx(line.slope, rel=1e-9)
    assert own["calibration_intercept"]["value"] == pytest.approx(line.intercept, rel=1e-9)


def test_a_planted_miscalibration_is_recovered() -> None:
    rng = np.random.default_rng(0)
    predicted = rng.gamma(2, 1, (1, 40, 50))
    reward = 0.3 + 0.5 * predicted[0] + 0.1 * rng.normal(size=(40, 50))
    own = found(table(reward, predicted))
    for name, truth in (("calibration_slope", 0.5), ("calibration_intercept", 0.3)):
        assert own[name]["low"] < truth < own[name]["high"] and own[name]["high"] - own[name]["low"] < 0.1


def test_events_are_a_plain_loop_s(one: pl.DataFrame) -> None:
    rows, own = one.filter(**AT), found(one, **AT)
    threshold = one["reward"].cast(pl.Float64).to_numpy().max() / 2
    pairs = [(r > threshold, p > threshold) for r, p in rows.select("reward", "reward_pred").rows()]
    tp, fp, fn = (pairs.count(kind) for kind in ((True, True), (False, True), (True, False)))
    assert min(tp, fp, fn) > 0
    assert own["event_precision"]["value"] == pytest.approx(tp / (tp + fp))
    assert own["event_recall"]["value"] == pytest.approx(tp / (tp + fn))
    assert own["event_f1"]["value"] == pytest.approx(2 * tp / (2 * tp + fp + fn))


def test_without_events_nothing_can_be_found() -> None:
    never = found(table(np.full((6, 20), -1.0), np.full((1, 6, 20), -1.5)))
    assert all(never[f"event_{name}"]["value"] is None for name in ("precision", "recall", "f1"))
    reward = np.zeros((6, 20))
    reward[:, 3] = 1.0
    missed = found(table(reward, np.zeros((1, 6, 20))))
    assert missed["event_precision"]["value"] is None and missed["event_f1"]["value"] == 0
    assert missed["event_recall"]["value"] == missed["event_recall"]["low"] == 0
    assert missed["event_recall"]["high"] == pytest.approx(stats.binomtest(0, 6).proportion_ci(0.95).high)
    assert missed["spearman"]["value"] is None and missed["calibration_slope"]["value"] is None  # predictions do not vary


def test_the_threshold_of_an_event_can_be_chosen() -> None:
    reward = np.tile([0.0, 0.4, 1.0], (6, 5))
    at = measures(table(reward, reward[None]).lazy(), 3, HOW, event=0.3).filter(measure="event_recall")
    assert at["value"].item() == 1
    rows = gather(table(reward, reward[None]).lazy(), [0])
    happened = [sparse.terms(rows, event)["happened"].sum() for event in (0.3, 0.5)]
    assert happened == [60, 30]


def test_planted_bias_and_variance_are_recovered() -> None:
    """Predictions 0.5 too high on the whole, with a standard deviation of 0.8 over seeds."""
    rng = np.random.default_rng(1)
    reward = rng.normal(size=(20, 100))
    predicted = reward + 0.5 + 0.8 * rng.normal(size=(4, 20, 100))
    own = found(table(reward, predicted))
    for name, truth in (("seed_bias2", 0.25), ("seed_variance", 0.64)):
        assert own[name]["value"] == pytest.approx(truth, rel=0.1) and own[name]["low"] < truth < own[name]["high"]
        assert (own[name]["n"], own[name]["seeds"]) == (2000, 4)
    mse = ((predicted - reward) ** 2).mean()
    assert own["seed_bias2"]["value"] + own["seed_variance"]["value"] == pytest.approx(mse, rel=1e-6)


def test_one_seed_says_nothing_about_variance(one: pl.DataFrame) -> None:
    own = found(one, **AT)
    assert own["seed_variance"]["value"] is None and own["seed_bias2"]["value"] is None and own["seed_bias2"]["seeds"] == 1


def test_seeds_in_any_order_split_alike_and_must_answer_the_same(part: pl.DataFrame) -> None:
    keys = ["variant", "episode", "horizon"]
    split, shuffled = (
        seeds.split(gather(rows.lazy(), [0, 3])).sort(keys) for rows in (part, part.sample(fraction=1, shuffle=True, seed=0))
    )
    np.testing.assert_allclose(split.select(seeds.STATISTICS), shuffled.select(seeds.STATISTICS), rtol=1e-9)
    with pytest.raises(DataError, match="did not predict the same rewards"):
        measures(part.filter((pl.col("seed") != 1) | (pl.col("t") != 5)).lazy(), 3, HOW)


def test_accumulated_error_is_the_sum_over_the_steps_of_a_start(one: pl.DataFrame) -> None:
    ahead = one.filter(pl.col("axis") == "default", pl.col("horizon") > 0).with_columns(start=pl.col("t") - pl.col("horizon"))
    error = (pl.col("reward_pred").cast(pl.Float64) - pl.col("reward")).abs().sum()
    near = ahead.filter(pl.col("horizon") <= 33).group_by("episode", "start").agg(pl.len(), error=error).filter(len=33)
    whole = ahead.filter(pl.col("start") == 0).group_by("episode").agg(error=error)
    own = found(one, axis="default")
    assert own["accumulated_33"]["value"] == pytest.approx(near["error"].mean(), rel=1e-9)
    assert (own["accumulated_33"]["n"], own["accumulated_33"]["horizon"]) == (len(near), 33)
    assert own["accumulated_whole"]["value"] == pytest.approx(whole["error"].mean(), rel=1e-9)
    assert (own["accumulated_whole"]["n"], own["accumulated_whole"]["horizon"]) == (10, 60)


def test_starts_that_were_not_predicted_so_far_do_not_count(one: pl.DataFrame) -> None:
    starts = accumulated.per_start(one.filter(pl.col("horizon") <= 3).lazy(), 33)
    assert accumulated.near(starts, 33).is_empty() and len(accumulated.near(starts, 2)) > 0
    assert "accumulated_33" not in found(one.filter(pl.col("horizon") <= 3))


def test_the_reliability_curve_s_means_are_those_of_the_rows(one: pl.DataFrame) -> None:
    curve = reliability(one.lazy(), 5, HOW).filter(axis="default")
    rows = one.filter(**AT)
    low, high = (float(end(rows["reward"].to_numpy())) for end in (np.min, np.max))
    bins = np.clip(np.floor((rows["reward_pred"].to_numpy().astype("f8") - low) / (high - low) * 5), 0, 4)
    for row in curve.iter_rows(named=True):
        members = rows.filter(pl.Series(bins == round((row["predicted_from"] - low) / (high - low) * 5)))
        assert row["n"] == len(members) and row["episodes"] == members["episode"].n_unique()
        assert row["observed"] == pytest.approx(members["reward"].cast(pl.Float64).mean(), rel=1e-9)
        assert row["predicted"] == pytest.approx(members["reward_pred"].cast(pl.Float64).mean(), rel=1e-9)
        assert row["episodes"] < 2 or row["low"] <= row["observed"] <= row["high"]
    assert curve["n"].sum() == len(rows)


def test_measures_repeat_bit_for_bit_and_part_by_part(part: pl.DataFrame) -> None:
    other = reward_error("state", SIZE)
    both = measures(pl.concat([part, other]).lazy(), 3, HOW)
    assert both.equals(pl.concat([measures(rows.lazy(), 3, HOW) for rows in (part, other)]))
    assert both.columns == [
        "encoder", "algorithm", "task", "axis", "severity", "split", "horizon", "measure", "value", "low", "high", "n",
        "episodes", "seeds",
    ]  # fmt: skip
