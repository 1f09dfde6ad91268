"""The study of coverage counts what it says, and in a few hundred studies intervals cover about as often as they claim."""

from collections.abc import Callable

import numpy as np
import polars as pl
import pytest

from analysis.resample import Resampling
from benchmarks import studies
from benchmarks.coverage import SETTINGS, Setting, broken, judged, markdown

# 300 studies: 95 % has a standard error of 1.3 %, so 91 to 99 % is within three of them.
FEW = (0.91, 0.99)


@pytest.mark.parametrize(
    ("study", "unit", "clusters", "seeds"),
    [(studies.errors, "episodes", 30, 1), (studies.paired, "episodes", 30, 3), (studies.scores, "runs", 30, 10)],
)
def test_intervals_cover(study: Callable[..., studies.Judged], unit: str, clusters: int, seeds: int) -> None:
    table = judged(Setting(study, unit, clusters, seeds, 0.0), 300)
    assert table["covered"].is_between(*FEW).all(), table
    np.testing.assert_allclose(table["covered"] + table["below"] + table["above"], 1)


def test_no_effect_is_seldom_called_one() -> None:
    table = judged(Setting(studies.paired, "episodes", 30, 1, 0.0), 300)
    assert table["called"].item() <= 0.09
    assert judged(Setting(studies.paired, "episodes", 30, 1, 0.2), 50)["called"].is_null().all()


def test_a_study_is_the_same_every_time() -> None:
    setting = Setting(studies.correlation, "points", 17, 1, -0.66)
    assert judged(setting, 5).equals(judged(setting, 5))


def test_what_is_planted_is_what_many_predictions_say() -> None:
    rng, how = np.random.default_rng(0), Resampling(50, 0.95, 0)
    for study in (studies.errors, studies.paired):
        for name, (truth, low, high) in study(rng, 4, 4000, 1, how, 0.2).items():
            middle = float(np.mean((low + high) / 2))
            assert middle == pytest.approx(truth, abs=0.02), name


def test_what_falls_short_is_found() -> None:
    table = pl.DataFrame(
        {"figure": ["mae", "mae", "r2", "bias"], "unit": ["episodes"] * 4, "clusters": [30, 8, 30, 30], "seeds": [1, 1, 1, 3],
         "covered": [0.95, 0.8, 0.92, 0.5], "called": [0.07, 0.2, None, None], "effect": [0.0] * 4}
    )  # fmt: skip
    assert broken(table)["figure"].to_list() == ["mae", "r2"]


def test_its_tables_name_every_setting() -> None:
    settings = [s for s in SETTINGS if s.study is studies.paired][:2]
    text = "\n".join(markdown(pl.concat(judged(s, 4) for s in settings)))
    assert "| figure | 30 episodes |" in text and "| difference |" in text
