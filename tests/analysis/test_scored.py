"""Runs in one number: IQM, profile and improvement of planted scores, and nothing where there is one run only."""

import dataclasses
from pathlib import Path

import polars as pl
import pytest
from scipy import stats

from analysis.claims.runs import explained
from analysis.resample import Resampling
from analysis.results import Results, summarise
from analysis.scored import SCORES, scored
from analysis.tables import write_table
from tests.analysis.planted import SMALL, Size, learning, online, reward_error

HOW = Resampling(100, 0.95, 0)


def results(folder: Path, size: Size) -> Results:
    parts = {}
    for encoder in ("state", "scratch"):
        parts[encoder] = [folder / f"{encoder}.parquet"]
        write_table(reward_error(encoder, size), parts[encoder][0])
    curves, tuned = (pl.concat([made(e) for e in parts]) for made in (lambda e: learning(e, size), online))
    return summarise(parts, curves, tuned, size.short, HOW, [], lambda paths, _: paths)


def test_figures_are_those_of_the_runs_own_scores(tmp_path: Path) -> None:
    found = results(tmp_path, dataclasses.replace(SMALL, seeds=(0, 1, 2, 3)))
    table = scored(found, HOW, 1000.0)
    runs = explained(found.sums, HOW).table("score")
    assert dict(table.schema) == SCORES and set(table["kind"]) == {"prediction"}  # online, each has one run
    for encoder in ("state", "scratch"):
        own = runs.filter(encoder=encoder)["score"].to_numpy()
        iqm = table.filter(figure="iqm", encoder=encoder).row(0, named=True)
        assert iqm["estimate"] == pytest.approx(stats.trim_mean(own, 0.25)) and iqm["low"] < iqm["estimate"] < iqm["high"]
        assert (iqm["runs"], iqm["seeds"]) == (4, 4)
        profile = table.filter(figure="profile", encoder=encoder).sort("threshold")
        assert profile["estimate"].to_list() == [float((own > t).mean()) for t in profile["threshold"]]
    better = runs.filter(encoder="state")["score"].to_numpy(), runs.filter(encoder="scratch")["score"].to_numpy()
    u = stats.mannwhitneyu(*better).statistic / 16
    assert table.filter(figure="improvement")["estimate"].to_list() == [pytest.approx(u)]


def test_one_run_each_tells_nothing(tmp_path: Path) -> None:
    table = scored(results(tmp_path, SMALL), HOW, 1000.0)
    assert table.is_empty() and dict(table.schema) == SCORES
