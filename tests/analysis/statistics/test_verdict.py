"""A verdict says no more than the interval and the seeds allow; corrections are the textbook's."""

import math

import numpy as np
import polars as pl
import pytest

from analysis.statistics.multiple import benjamini_hochberg, corrected, holm
from analysis.statistics.verdict import Claim, judged, verdict, with_few_seeds

RISES = Claim("more accurate rewards go with higher scores", threshold=0.3)
FALLS = Claim("a larger error goes with a lower score", threshold=-0.3, above=False)


@pytest.mark.parametrize(
    ("low", "high", "said"),
    [
        (0.4, 0.8, "supported"),
        (0.3, 0.8, "supported"),
        (-0.2, 0.2, "contradicted"),
        (-0.9, -0.4, "contradicted"),
        (0.1, 0.6, "undecided"),
    ],
)
def test_all_none_or_part_of_the_interval_counts(low: float, high: float, said: str) -> None:
    assert verdict(RISES, (low + high) / 2, low, high, 3) == said
    assert verdict(FALLS, -(low + high) / 2, -high, -low, 3) == said


def test_under_three_seeds_nothing_is_decided() -> None:
    for seeds in (None, 0, 1, 2):
        assert verdict(RISES, 0.9, 0.85, 0.95, seeds) == "undecided"
    assert verdict(RISES, 0.9, 0.85, 0.95, 3) == "supported"


def test_an_undefined_interval_decides_nothing() -> None:
    assert verdict(RISES, 0.9, None, None, 5) == "undecided"
    assert verdict(RISES, 0.9, 0.8, math.nan, 5) == "undecided"


def test_every_row_is_judged_and_marked() -> None:
    table = pl.DataFrame({"estimate": [0.6, 0.6], "low": [0.5, 0.5], "high": [0.7, 0.7], "seeds": [3, 2]})
    found = judged(with_few_seeds(table), RISES)
    assert found["verdict"].to_list() == ["supported", "undecided"]
    assert found["few_seeds"].to_list() == [False, True]
    assert found["claim"].unique().to_list() == [RISES.text]


def test_holm_s_own_steps() -> None:
    np.testing.assert_allclose(holm(np.array([0.01, 0.04, 0.03, 0.005])), [0.03, 0.06, 0.06, 0.02])
    assert (holm(np.array([0.5, 0.9])) <= 1).all()


def test_holm_lets_few_families_of_nulls_call_an_effect() -> None:
    p = np.random.default_rng(0).uniform(size=(4000, 10))
    assert np.mean([(holm(row) < 0.05).any() for row in p]) == pytest.approx(0.05, abs=0.012)


def test_benjamini_and_hochberg_s_own_example() -> None:
    """Their 1995 paper, section 3.2: at 0.05 the first four of fifteen are rejected."""
    small = [0.0001, 0.0004, 0.0019, 0.0095, 0.0201, 0.0278, 0.0298, 0.0344, 0.0459]
    p = np.array([*small, 0.3240, 0.4262, 0.5719, 0.6528, 0.7590, 1.0])
    assert (benjamini_hochberg(p) < 0.05).sum() == 4
    assert (holm(p) < 0.05).sum() == 3


def test_undefined_p_values_are_no_tests() -> None:
    found = corrected(pl.DataFrame({"p": [0.01, None, 0.04]}))
    assert found["p_holm"].to_list() == [pytest.approx(0.02), None, pytest.approx(0.04)]
    assert found["p_bh"].null_count() == 1
