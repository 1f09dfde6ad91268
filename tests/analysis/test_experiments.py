"""Experiments are read where they lie; what they share counts once, what differs is kept apart, what lacks is named."""

import shutil
from pathlib import Path

import polars as pl
import pytest

from analysis.experiments import REFERENCES, scan_experiments
from analysis.schema import KEY
from analysis.shared import base, share
from analysis.tables import write_table
from datasets.errors import DataError, UserError
from tests.analysis.planted import SMALL, Size, learning, online, reward_error

ENCODERS = (*REFERENCES, "selected")


def project(root: Path, selected: str = "selected", size: Size = SMALL) -> Path:
    """results/ of one experiment."""
    (root / "results").mkdir(parents=True)
    named = {name: selected if name == "selected" else name for name in ENCODERS}
    errors = [reward_error(name, size).with_columns(encoder=pl.lit(shown)) for name, shown in named.items()]
    write_table(pl.concat(errors), root / "results/reward_error.parquet")
    write_table(pl.concat([online("scratch"), online(selected)]), root / "results/online.parquet")
    curves = [learning(name, size).with_columns(encoder=pl.lit(shown)) for name, shown in named.items()]
    write_table(pl.concat(curves), root / "results/learning.parquet")
    return root


def test_rows_name_their_experiment_and_nothing_is_read_before_it_is_asked_for(tmp_path: Path) -> None:
    for name in ("a", "b"):
        project(tmp_path / name)
    found = scan_experiments(["a", "b"], root=tmp_path)
    assert isinstance(found.rows, pl.LazyFrame) and found.missing == []
    counted = dict(found.rows.group_by("experiment").len().collect(engine="streaming").rows())
    whole = reward_error("state", SMALL).height * len(ENCODERS)
    assert counted == {"a": whole, "b": whole}
    found.rows.sink_parquet(tmp_path / "all.parquet")
    assert pl.scan_parquet(tmp_path / "all.parquet").select(pl.len()).collect().item() == 2 * whole


def test_the_workspace_is_an_experiment(tmp_path: Path) -> None:
    project(tmp_path)
    rows = scan_experiments(["workspace"], "online", tmp_path).rows.collect()
    assert rows["experiment"].unique().to_list() == ["workspace"] and rows.columns[0] == "experiment"
    assert rows.drop("experiment").equals(pl.read_parquet(tmp_path / "results/online.parquet"))


def test_what_is_shared_counts_once(tmp_path: Path) -> None:
    project(tmp_path / "a", "vip_rn50")
    project(tmp_path / "b", "mae_vitb")
    found = share(scan_experiments(["a", "b"], table, tmp_path) for table in ("reward_error", "online", "learning"))
    rows = found.rows("reward_error").collect()
    owners = dict(rows.select("encoder", "experiment").unique().rows())
    assert owners == dict.fromkeys(REFERENCES, "a") | {"vip_rn50": "a", "mae_vitb": "b"}
    assert rows.height == 6 * reward_error("state", SMALL).height and found.notes == []
    mine = found.rows("reward_error", encoder="mae_vitb").drop("experiment").collect()
    assert mine.equals(reward_error("selected", SMALL).with_columns(encoder=pl.lit("mae_vitb")))
    assert found.rows("online").collect().height == 3 * online("scratch").height


def test_what_differs_is_kept_apart_and_said(tmp_path: Path) -> None:
    project(tmp_path / "a")
    project(tmp_path / "b")
    other = pl.read_parquet(tmp_path / "b/results/reward_error.parquet")
    changed = pl.col("reward_pred") + pl.when(encoder="scratch").then(pl.lit(1e-3, pl.Float32)).otherwise(pl.lit(0, pl.Float32))
    write_table(other.with_columns(reward_pred=changed), tmp_path / "b/results/reward_error.parquet")
    found = share(scan_experiments(["a", "b"], table, tmp_path) for table in ("reward_error", "online"))
    names = set(found.rows("reward_error").select("encoder").unique().collect()["encoder"])
    assert names == {"state", "random_cnn", "autoencoder", "selected", "scratch@a", "scratch@b"}
    assert found.notes == ["scratch is not the same in a and b: kept apart as scratch@a, scratch@b."]
    assert base("scratch@b") == "scratch" and found.owners["scratch@b"] == "b"
    assert set(found.rows("online").collect()["encoder"]) == {"selected", "scratch@a", "scratch@b"}


def test_one_row_that_differs_online_keeps_the_whole_representation_apart(tmp_path: Path) -> None:
    for name in ("a", "b"):
        project(tmp_path / name)
    path = tmp_path / "b/results/online.parquet"
    write_table(pl.read_parquet(path).with_columns(preset=pl.lit("other")), path)
    found = share(scan_experiments(["a", "b"], table, tmp_path) for table in ("reward_error", "online"))
    assert {"scratch@a", "scratch@b", "selected@a", "selected@b"} <= set(found.owners)


def test_seeds_of_several_experiments_are_pooled(tmp_path: Path) -> None:
    project(tmp_path / "a", size=Size(10, 40, 3, 2, (0.5, 1.0), seeds=(0,)))
    project(tmp_path / "b", size=Size(10, 40, 3, 2, (0.5, 1.0), seeds=(1, 2)))
    found = share([scan_experiments(["a", "b"], root=tmp_path)])
    seeds = found.rows("reward_error").group_by("encoder").agg(pl.col("seed").n_unique()).collect()
    assert set(seeds["seed"]) == {3} and not found.notes


def test_other_data_are_another_task(tmp_path: Path) -> None:
    project(tmp_path / "a")
    project(tmp_path / "b", size=Size(episodes=8, steps=40, short=3, long_starts=2, severities=(0.5, 1.0)))
    found = share([scan_experiments(["a", "b"], root=tmp_path)])
    rows = found.rows("reward_error").select("experiment", "task", "encoder").unique().collect()
    assert set(rows.select("experiment", "task").rows()) == {("a", "cartpole_swingup@a"), ("b", "cartpole_swingup@b")}
    assert set(rows["encoder"]) == set(ENCODERS)
    assert "The data of cartpole_swingup are not the same in a and b" in found.notes[0]


def test_a_run_that_stopped_half_way_is_read_as_far_as_it_came(tmp_path: Path) -> None:
    project(tmp_path / "a")
    part = tmp_path / "b/results/parts/scratch/cartpole_swingup/dreamerv3"
    part.mkdir(parents=True)
    reward_error("scratch", SMALL).write_parquet(part / "reward_error.parquet")
    (tmp_path / "c/results").mkdir(parents=True)
    found = scan_experiments(["a", "b", "c"], root=tmp_path)
    assert list(found.frames) == ["a", "b"]
    assert found.frames["b"].drop("experiment").collect().equals(reward_error("scratch", SMALL))
    assert "b has no results/reward_error.parquet" in found.missing[0] and "1 parts" in found.missing[0]
    assert found.missing[1] == "b has no rows of state, random_cnn, autoencoder."
    assert found.missing[2] == "c has no results/reward_error.parquet: it is left out of this table."


def test_newer_and_damaged_tables_are_left_out_by_name(tmp_path: Path) -> None:
    for name in ("a", "b", "c"):
        project(tmp_path / name)
    newer, damaged = (tmp_path / f"{name}/results/online.parquet" for name in "bc")
    online("state").write_parquet(newer, metadata={KEY: "99"})
    damaged.write_bytes(b"PAR1 not")
    found = scan_experiments(["a", "b", "c"], "online", tmp_path)
    assert list(found.frames) == ["a"] and len(found.missing) == 2
    assert "newer than" in found.missing[0] and "not a readable Parquet file" in found.missing[1]
    assert all("\n" not in text and "left out" in text for text in found.missing)


def test_a_table_that_nobody_knows_yet_is_read_as_it_is(tmp_path: Path) -> None:
    for name, columns in (("a", {"encoder": "x", "value": 1.0}), ("b", {"encoder": "y", "value": 2.0, "more": 3})):
        (tmp_path / name / "results").mkdir(parents=True)
        write_table(pl.DataFrame([columns]), tmp_path / name / "results/extra.parquet")
    rows = scan_experiments(["a", "b"], "extra", tmp_path).rows.collect()
    assert rows["more"].to_list() == [None, 3]


@pytest.mark.parametrize(
    ("sources", "words"), [(["nowhere"], "nowhere is neither a folder"), ([], "no experiment"), (["a", "a"], "a is named twice")]
)
def test_a_source_that_stands_for_nothing_is_one_line(tmp_path: Path, sources: list[str], words: str) -> None:
    project(tmp_path / "a")
    with pytest.raises(UserError, match=words) as caught:
        scan_experiments(sources, root=tmp_path)
    assert "\n" not in str(caught.value)


def test_no_table_at_all_is_one_line(tmp_path: Path) -> None:
    project(tmp_path / "a")
    shutil.rmtree(tmp_path / "a/results")
    (tmp_path / "a/results").mkdir()
    with pytest.raises(DataError, match="no experiment has a reward_error table"):
        _ = scan_experiments(["a"], root=tmp_path).rows
