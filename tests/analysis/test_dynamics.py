"""Per-episode tables by any grouping: pooled means, intervals that cover, and pairs of encoders on the same resamples."""

import numpy as np
import polars as pl
import pytest

from analysis.confidence import LOG, limits
from analysis.dynamics import coverage_by, dynamics_by, probes_by
from analysis.resample import Resampling, weights
from analysis.tables import CALIBRATION, DYNAMICS, PROBES
from tests.analysis import planted

HOW = Resampling(200, 0.9, seed=3)
SIZE = planted.Size(episodes=8, steps=20, short=3, severities=(0.5, 1.0), seeds=(0, 1))


def _dynamics(values: dict[tuple[str, int, int], tuple[int, float]], seed: int = 0) -> pl.DataFrame:
    """Rows of (encoder, seed, episode) -> (n, value)."""
    rows = [
        (encoder, "dreamerv3", seed, "p", "task", "default", "default", 0.0, "id", "random", episode, 1, "kl", n, value)
        for (encoder, seed, episode), (n, value) in values.items()
    ]
    return pl.DataFrame(rows, schema=DYNAMICS, orient="row")


def test_a_group_is_the_mean_of_its_predictions_not_of_its_episodes():
    made = dynamics_by(_dynamics({("a", 0, 0): (10, 1.0), ("a", 0, 1): (30, 3.0)}), ["horizon"], HOW)
    assert made.select("encoder", "algorithm", "task", "metric", "horizon", "n", "episodes", "seeds").row(0) == (
        "a", "dreamerv3", "task", "kl", 1, 40, 2, 1,
    )  # fmt: skip
    assert made["value"].item() == pytest.approx(2.5)
    assert 0 < made["low"].item() < 2.5 < made["high"].item()


def test_intervals_are_those_of_resampled_episodes():
    rng = np.random.default_rng(0)
    values = {("a", 0, e): (int(rng.integers(5, 20)), float(rng.uniform(1, 3))) for e in range(12)}
    made = dynamics_by(_dynamics(values), [], HOW)
    n, value = (np.array([v[i] for v in values.values()]) for i in (0, 1))
    drawn = weights(12, HOW)
    means = ((drawn @ (n * value)) / (drawn @ n))[:, None]
    total = np.array([np.average(value, weights=n)])
    low, high = limits((total, means, total[None], means), np.array([12]), 1, HOW.confidence, LOG)
    np.testing.assert_allclose(made.select("value", "low", "high").row(0), (total[0], low[0], high[0]))


def test_encoders_are_resampled_on_the_same_episodes():
    rng = np.random.default_rng(0)
    hard = rng.uniform(1, 2, size=30)
    values = {("a", 0, e): (5, hard[e]) for e in range(30)} | {("b", 0, e): (5, hard[e] * 1.1) for e in range(30)}
    made = dynamics_by(_dynamics(values), [], HOW).sort("encoder")
    for name in ("value", "low", "high"):
        assert made[name][1] / made[name][0] == pytest.approx(1.1)


def test_an_interval_covers_the_mean_of_the_episodes_population_as_often_as_it_says():
    rng = np.random.default_rng(1)
    hits = 0
    for _ in range(200):
        made = dynamics_by(_dynamics({("a", 0, e): (5, float(rng.gamma(4, 0.5))) for e in range(30)}), [], HOW)
        hits += made["low"].item() <= 2 <= made["high"].item()
    assert 0.83 < hits / 200 < 0.96


def test_planted_tables_give_back_what_was_planted():
    table = pl.concat([planted.dynamics(encoder, SIZE) for encoder in ("state", "scratch")])
    made = dynamics_by(table, ["axis", "severity", "horizon"], HOW)
    for row in made.iter_rows(named=True):
        truth = 1 - planted.planted_r2(row["encoder"], row["axis"], row["severity"], row["horizon"])
        assert row["value"] == pytest.approx(truth) and row["low"] == pytest.approx(truth)
    assert set(made["seeds"]) == {2} and set(made["episodes"]) == {8}
    coverage = coverage_by(planted.calibration("state", SIZE), ["horizon"], HOW)
    assert dict(coverage.filter(horizon=0).select("level", "value").rows()) == {0.5: 0.45, 0.8: 0.7, 0.9: 0.8, 0.95: 0.85}
    assert coverage["width"].to_list() == pytest.approx(coverage["level"].to_list())
    probes = probes_by(planted.probes("scratch", SIZE), ["axis", "severity"], HOW)
    assert probes.columns == [
        "encoder", "task", "target", "method", "axis", "severity", "value", "low", "high", "n", "episodes",
    ]  # fmt: skip
    assert probes.filter(axis="default")["value"].unique().to_list() == pytest.approx([0.05])


def test_a_table_without_rows_is_refused():
    for function, columns in ((dynamics_by, DYNAMICS), (coverage_by, CALIBRATION), (probes_by, PROBES)):
        with pytest.raises(ValueError, match="no rows"):
            function(pl.DataFrame(schema=columns), [], HOW)
