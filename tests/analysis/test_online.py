"""Returns of online learning: which arm is which, what an offline start was worth, and what looks do."""

import polars as pl
import pytest
from scipy import stats

from analysis import tables
from analysis.online import curves, ends, gains, under_looks


def _row(arm: str, seed: int, env_steps: int, value: float, axis: str = "default", severity: float = 0.0) -> dict[str, object]:
    return {
        "algorithm": "tdmpc2", "encoder": "state", "task": "t", "seed": seed,
        "init": "none" if arm == "from_nothing" else "offline", "arm": arm, "preset": "p", "variant": f"{axis}-{severity}",
        "axis": axis, "severity": severity, "split": "id", "env_steps": env_steps, "return": value, "return_std": 10.0,
        "episodes": 4,
    }  # fmt: skip


def _online() -> pl.DataFrame:
    rows = []
    for seed, worth in enumerate((100.0, 140.0, 60.0)):
        rows += [_row("online", seed, 0, 300.0), _row("online", seed, 1000, 500.0 + worth)]
        rows += [_row("from_nothing", seed, 0, 10.0), _row("from_nothing", seed, 1000, 500.0)]
        rows += [_row("offline_only", seed, 0, 400.0)]
        rows += [_row("online", seed, 1000, 550.0, "texture", 0.5), _row("online", seed, 1000, 200.0, "texture", 1.0)]
    return pl.DataFrame(rows, tables.ONLINE)


def test_arms_and_looks_do_not_mix():
    online = _online()
    assert curves(online).select("env_steps", "return", "seeds").rows() == [(0, 300.0, 3), (1000, 600.0, 3)]
    assert curves(online, "from_nothing")["return"].to_list() == [10.0, 500.0]
    (row,) = ends(online).rows(named=True)
    assert (row["first"], row["last"], row["offline_only"], row["from_nothing"]) == (300.0, 600.0, 400.0, 500.0)
    without = ends(online.filter(pl.col("arm") == "online")).row(0, named=True)
    assert without["offline_only"] is None and without["from_nothing"] is None


def test_what_an_offline_start_was_worth_is_paired_by_seed():
    (row,) = gains(_online(), 0.9).rows(named=True)
    expected = stats.ttest_1samp([100.0, 140.0, 60.0], 0).confidence_interval(0.9)
    assert (row["seeds"], row["env_steps"], row["gain"]) == (3, 1000, pytest.approx(100))
    assert (row["low"], row["high"]) == (pytest.approx(expected.low), pytest.approx(expected.high))
    one = gains(_online().filter(seed=0), 0.9).row(0, named=True)
    assert (one["gain"], one["low"], one["high"]) == (100.0, None, None)
    assert gains(_online().filter(pl.col("arm") == "online"), 0.9).is_empty()


def test_returns_under_looks_begin_with_the_default():
    rows = under_looks(_online()).select("axis", "severity", "return", "low", "high").rows()
    assert rows == [
        ("texture", 0.0, 600.0, 590.0, 610.0),
        ("texture", 0.5, 550.0, 540.0, 560.0),
        ("texture", 1.0, 200.0, 190.0, 210.0),
    ]
    assert under_looks(_online().filter(axis="default")).is_empty()
