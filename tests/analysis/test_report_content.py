"""Sentences, metrics and figures follow from the tables, and say when something is undefined or missing."""

import dataclasses
import json
from html.parser import HTMLParser
from pathlib import Path

import polars as pl
import pytest

from analysis.baselines import BASELINES
from analysis.behaviour import behaviour_table
from analysis.charts import style
from analysis.figures_online import online_figure
from analysis.figures_over_time import learning_figure, trace_figure
from analysis.findings import caveat, findings
from analysis.metrics import metrics
from analysis.online import curves, ends
from analysis.page import Look
from analysis.resample import Resampling
from analysis.results import Results, summarise, summary_table
from analysis.tables import REWARD_ERROR, write_table
from analysis.writer import Context, headline, write_report
from tests.analysis.planted import AXES, SMALL, learning, online, reward_error
from tests.synthetic import TASK

ENCODERS = ("autoencoder", "state", "scratch", "random_cnn")
CELL = (TASK, "dreamerv3")


@pytest.fixture(scope="module")
def results(tmp_path_factory: pytest.TempPathFactory) -> Results:
    parts = {}
    for encoder in ENCODERS:
        path = tmp_path_factory.mktemp("parts") / f"{encoder}.parquet"
        write_table(reward_error(encoder, SMALL), path)
        parts[encoder] = [path]
    curves_ = pl.concat([learning(e, SMALL) for e in ENCODERS])
    tuned = pl.concat([online("autoencoder"), online("scratch")])
    return summarise(
        parts, curves_, tuned, SMALL.short, Resampling(200, 0.95, 0), ["x was not fine-tuned"], lambda paths, _: paths
    )


@pytest.fixture(scope="module")
def context() -> Context:
    behaviour = behaviour_table(TASK, ["expert", "random", "random"], [True, False, False], [800.0, 100.0, 120.0])
    sheet = Look(TASK, b"\x89PNG", "looks <of> a task", pl.DataFrame({"axis": ["texture"], "pixel_change": [5.5]}))
    return Context("embedded", 0.95, [sheet], behaviour, {TASK: 800.0}, {"params": "0" * 64}, '{"a": "</script>"}')


def test_sentences_state_the_figures_behind_them(results: Results) -> None:
    said = findings(results, *CELL, {TASK: 800.0}, 0.95)
    r2 = dict(results.looks.filter(pl.col("axis") == "default", pl.col("horizon") == 0).select("encoder", "r2").iter_rows())
    assert all(f"{e} {r2[e]:.3f}" in said[0] for e in ENCODERS)
    text = " ".join(said)
    assert "State is exactly unaffected" in text
    assert "smaller with state (" in text and "larger with random_cnn (" in text
    assert "autoencoder: camera, lighting and texture" in text
    assert "autoencoder went from 200 to 533 in 18,000 agent steps, against 230" in text and "(expert: 800)" in text


def test_one_seed_is_marked(results: Results) -> None:
    assert "one seed" in caveat(results, 0.95) and "10 held-out episodes" in caveat(results, 0.95)
    two = dataclasses.replace(results, looks=results.looks.with_columns(seeds=pl.lit(2)))
    assert "2 models" in caveat(two, 0.95) and "one seed" not in caveat(two, 0.95)


def test_metrics_are_the_tables_rounded(results: Results) -> None:
    found = metrics(results, {TASK: 800.0})
    assert found["selected"] == {"encoder": "autoencoder"} | found["encoders"]["autoencoder"]
    assert set(found["encoders"]) == set(ENCODERS) and set(found["baselines"]) == set(BASELINES)
    own = results.looks.filter(pl.col("encoder") == "scratch", pl.col("axis") == "default", pl.col("horizon") == 0)
    assert found["encoders"]["scratch"]["filtering_r2"] == round(own["r2"].item(), 6)
    assert found["encoders"]["state"]["mae_ratio"] == dict.fromkeys(AXES, 1.0)
    assert found["selected"]["online"] == {"first": 200.0, "last": pytest.approx(532.57, abs=0.01), "offline_only": 230.0}
    assert "online" not in found["encoders"]["state"]
    assert found["expert_return"] == 800.0
    json.dumps(found, allow_nan=False)


def test_what_is_undefined_is_null(results: Results) -> None:
    flat = dataclasses.replace(results, looks=results.looks.with_columns(r2=pl.lit(None, pl.Float64)))
    assert metrics(flat, {})["selected"]["filtering_r2"] is None
    assert metrics(flat, {})["expert_return"] is None
    assert "undefined" in findings(flat, *CELL, {}, 0.95)[0]


def test_the_summary_holds_every_grouping_once(results: Results) -> None:
    table = summary_table(results)
    assert set(table["by"]) == {"look", "quality", "reward"}
    keys = ["by", "encoder", "algorithm", "task", "axis", "severity", "horizon", "quality", "reward_from"]
    assert len(table.unique(keys)) == len(table)
    looks = table.filter(pl.col("by") == "look", pl.col("algorithm") != "none")
    assert looks["n"].sum() == len(ENCODERS) * len(reward_error("state", SMALL))


def test_online_curves_average_seeds() -> None:
    two = pl.concat(
        [online("state"), online("state").with_columns(seed=pl.lit(1, pl.Int64), **{"return": pl.col("return") + 10})]
    )
    assert curves(two)["return"].to_list() == pytest.approx([v + 5 for v in curves(online("state"))["return"]])
    assert ends(two).select("first", "offline_only").row(0) == (205.0, 235.0)
    assert ends(online("state").filter(pl.col("arm") == "online"))["offline_only"].to_list() == [None]


def test_figures_without_data_are_left_out(results: Results) -> None:
    none = dataclasses.replace(
        results, learning=results.learning.clear(), online=results.online.clear(), traces=results.traces.clear()
    )
    assert learning_figure(none, *CELL) is None
    assert trace_figure(none, *CELL) is None
    assert online_figure(none, *CELL, {}) is None
    assert "return online" in headline(none, *CELL).columns


def test_traces_hold_the_predictions_of_the_table(results: Results) -> None:
    table = reward_error("scratch", SMALL)
    own = results.traces.filter(pl.col("encoder") == "scratch")
    assert set(own["axis"]) == {"default", *AXES} and own.group_by("axis").agg(pl.col("severity").max())["severity"].max() == 1.0
    assert own.select("quality", "episode").unique().height == 4
    row = own.filter(pl.col("open_loop").is_not_null()).row(0, named=True)
    same = table.filter(pl.col("variant") == row["variant"], pl.col("episode") == row["episode"], pl.col("t") == row["t"])
    start = table.filter(pl.col("horizon") > SMALL.short).select((pl.col("t") - pl.col("horizon")).min()).item()
    assert same.filter(pl.col("horizon") == 0)["reward_pred"].item() == row["filtering"]
    assert same.filter(pl.col("horizon") == row["t"] - start)["reward_pred"].item() == row["open_loop"]


def test_every_representation_has_a_colour_of_its_own() -> None:
    chosen = style(["my_dinov2", *ENCODERS])
    assert len({c for c, _ in chosen.values()}) == len({s for _, s in chosen.values()}) == 5
    assert chosen["state"] == style(["state"])["state"]


class _Links(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.loaded: list[str] = []
        self.tags: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.loaded += [value or "" for name, value in attrs if name in ("src", "href", "xlink:href")]


def test_the_page_loads_nothing_and_repeats_itself(results: Results, context: Context, tmp_path: Path) -> None:
    for name in ("one", "two"):
        write_report(results, context, tmp_path / name)
    files = sorted(p.relative_to(tmp_path / "one") for p in (tmp_path / "one").rglob("*") if p.is_file())
    for file in files:
        assert (tmp_path / "one" / file).read_bytes() == (tmp_path / "two" / file).read_bytes(), file
    html = (tmp_path / "one/index.html").read_text()
    links = _Links()
    links.feed(html)
    assert links.loaded and all(value.startswith(("data:", "#")) for value in links.loaded)
    assert links.tags.count("figure") == 8 and links.tags.count("noscript") == links.tags.count("svg")
    assert "&lt;/script&gt;" in html and "looks &lt;of&gt; a task" in html and "x was not fine-tuned" in html
    assert len(html) < 15e6
    assert {f.name for f in files if f.suffix == ".csv"} == {"reward_error.csv", "horizon.csv", "learning.csv", "online.csv"}


def test_behaviour_is_listed_from_worst_to_best(context: Context) -> None:
    assert context.behaviour.select("quality", "use", "episodes", "return_mean").rows() == [
        ("random", "training", 2, 110.0),
        ("expert", "validation", 1, 800.0),
    ]


def test_reward_error_columns_are_those_of_the_contract() -> None:
    key = "encoder algorithm seed preset task variant axis severity split quality episode t horizon"
    assert list(REWARD_ERROR) == [*key.split(), "reward", "reward_pred"]
