"""What is said of an interval's trustworthiness is what the simulations found for as many clusters and seeds."""

import polars as pl
import pytest

from analysis.statistics.wording import COVERAGE, Unit, trust
from benchmarks.coverage import COVERED, broken
from datasets.errors import DataError

TABLE = pl.DataFrame(
    [("mae", "episodes", 30, 1, 0.95), ("r2", "episodes", 30, 1, 0.94), ("mae", "episodes", 8, 1, 0.91),
     ("mae", "episodes", 30, 3, 0.97), ("iqm", "runs", 9, 3, 0.86), ("iqm", "runs", 30, 10, 0.95),
     ("pearson", "points", 17, 1, 0.95)],
    schema=["figure", "unit", "clusters", "seeds", "covered"], orient="row",
).with_columns(confidence=pl.lit(0.95))  # fmt: skip


def test_it_says_what_the_nearest_smaller_setting_covered() -> None:
    assert trust("runs", 21, 4, TABLE) == "Intervals from 3 seeds covered as little as 86% in simulation, not 95%."
    assert trust("runs", 30, 10, TABLE) == "Intervals from 10 seeds covered 95% in simulation, as they should (95%)."
    said = trust("episodes", 45, 1, TABLE)
    assert said.startswith("Intervals from 30 episodes and 1 seed covered 94–95% in simulation") and "three seeds" in said
    assert "8 episodes and 1 seed covered as little as 91%" in trust("episodes", 18, 1, TABLE)
    assert "30 episodes and 3 seeds" in trust("episodes", 40, 5, TABLE)
    assert "17 points covered 95%" in trust("points", 20, 3, TABLE)


def test_what_was_not_tried_is_not_vouched_for() -> None:
    assert "fewer than 8 episodes and 1 seed were not tried" in trust("episodes", 5, 1, TABLE)
    assert "fewer than 17 points were not tried" in trust("points", 9, 3, TABLE)
    with pytest.raises(DataError, match="no intervals by encoders"):
        trust("encoders", 30, 3, TABLE)


def test_under_three_seeds_nothing_is_decided() -> None:
    assert "fewer than three seeds" in trust("points", 20, 2, TABLE)
    assert "fewer than three seeds" not in trust("points", 20, 3, TABLE)


def test_the_committed_study_holds_what_is_demanded() -> None:
    table = pl.read_parquet(COVERAGE)
    assert broken(table).is_empty() and (table["studies"] >= 2000).all()
    enough = table.filter(pl.col("clusters") >= 30, pl.col("seeds") == 1)
    assert {"mae", "r2", "bias", "mae_increase", "mae_ratio", "difference", "pearson", "spearman"} <= set(enough["figure"])
    assert enough["covered"].is_between(*COVERED).all()
    units: tuple[Unit, ...] = ("episodes", "runs", "points", "encoders")
    for unit in units:
        assert "covered" in trust(unit, 30, 3) and "covered" in trust(unit, 17, 3)
