"""probe as a stage: per held-out episode what a representation says of reward and state; the oracle's state is exact."""

import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import polars as pl
import pytest

from analysis.statistics.properties import coded
from analysis.tables import ENCODERS, PROBES, PROPERTIES, SAMPLE
from datasets.errors import DataError
from datasets.manifest import digest
from pipeline import encode, pretrain, probe
from tests.synthetic import ROOT, TASK, enter_project, make_trajectories, write_frames, write_params, write_trajectories

DATA = make_trajectories(episodes=10, length=31, validation=4)
LOOKS = [("default", 0.0, "id"), ("texture", 0.5, "ood")]


def _tiny(values):
    values["encode"].update(batch=8, chunk=16, shard=64)
    values["compute"].update(workers=1)
    values["custom"] = {"mine": {"base": "random_cnn", "layer": None, "pooling": None}}


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("probed")
    with pytest.MonkeyPatch.context() as patch:
        enter_project(root, patch, DATA)
        write_params(root, _tiny)
        for encoder in ("state", "random", "scratch"):
            pretrain.main(encoder, TASK)
            encode.main(encoder, TASK)
            probe.main(encoder, TASK)
    return root


@pytest.fixture(autouse=True)
def _inside(project: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.chdir(project)
    monkeypatch.setenv("ENCORE_STORE", str(tmp_path / "store"))


def _table(encoder: str, name: str) -> pl.DataFrame:
    return pl.read_parquet(Path("results/probes") / encoder / TASK / f"{name}.parquet")


def test_one_row_per_held_out_episode_look_target_and_method():
    table = _table("random", "probes")
    assert dict(table.schema) == PROBES
    assert table.null_count().sum_horizontal().item() == 0 and table["value"].is_finite().all()
    key = [name for name in PROBES if name not in ("n", "value")]
    assert not table.select(key).is_duplicated().any()
    assert len(table) == len(LOOKS) * 4 * 2 * 2
    assert sorted(table["episode"].unique()) == DATA.episodes(validation=True)
    assert set(table["n"]) == {30} and set(table["encoder"]) == {"random_cnn"}
    assert sorted(table.select("axis", "severity", "split").unique().rows()) == LOOKS


def test_the_state_reads_itself_and_looks_do_not_change_it():
    table = _table("state", "probes")
    assert table.filter(target="state", method="ridge")["value"].max() < 1e-6
    looks = table.pivot("axis", index=["episode", "target", "method"], values="value")
    assert (looks["default"] == looks["texture"]).all()
    assert _table("random", "probes").filter(target="state", method="ridge", axis="default")["value"].max() > 1e-3


def test_properties_are_those_of_the_representation():
    found = {
        e: {(a, p): v for a, p, v in _table(e, "properties").select("axis", "property", "value").rows()}
        for e in ("state", "random")
    }
    assert dict(_table("random", "properties").schema) == PROPERTIES
    assert found["state"][("default", "dim")] == 5 and found["random"][("default", "dim")] == 256
    assert 1 < found["state"][("default", "intrinsic_dimension")] < 6
    assert found["state"][("texture", "signal_to_nuisance")] is None  # the look changes nothing
    assert 0 < found["random"][("texture", "signal_to_nuisance")] < 100
    assert dict(_table("scratch", "properties").select("property", "value").rows())["dim"] == 16 * 16 * 3


def test_the_sample_is_of_held_out_rows_with_their_rewards():
    table = _table("random", "sample")
    assert dict(table.schema) == SAMPLE
    rows = DATA.episode_starts[table["episode"].to_numpy()] + table["t"].to_numpy()
    assert (table["reward"].to_numpy() == DATA.reward[rows]).all()
    assert len(table) == 4 * 30 and table["t"].min() == 1
    assert table["feature"].list.len().unique().to_list() == [50]


def test_what_is_known_of_an_encoder_can_be_coded():
    tables = {encoder: _table(encoder, "encoder") for encoder in ("state", "random", "scratch")}
    assert all(dict(table.schema) == ENCODERS for table in tables.values())
    assert {encoder: table["dim"].item() for encoder, table in tables.items()} == {"state": None, "random": 256, "scratch": None}
    assert coded(pl.concat(tables.values()))["objective"].to_list() == ["none", "none", "none"]


def test_the_same_inputs_give_the_same_bytes():
    before = digest(Path("results/probes/random") / TASK)
    probe.main("random", TASK)
    assert digest(Path("results/probes/random") / TASK) == before


def test_a_killed_run_leaves_nothing_half_written_and_the_next_ends_the_same():
    out = Path("results/probes/scratch") / TASK
    before = digest(out)
    command = [sys.executable, "-c", "from pipeline import probe; import trainers.probes.geometry as g, os, signal\n"
               "g.two_nn = lambda *a: os.kill(os.getpid(), signal.SIGKILL)\n"
               f"probe.main('scratch', '{TASK}')"]  # fmt: skip
    killed = subprocess.run(command, env=os.environ | {"PYTHONPATH": str(ROOT)}, capture_output=True)
    assert killed.returncode == -9 and digest(out) == before
    probe.main("scratch", TASK)
    assert digest(out) == before


def test_without_embeddings_it_says_what_is_missing():
    with pytest.raises(DataError, match=r"data/embeddings/cartpole_swingup/autoencoder"):
        probe.main("autoencoder", TASK)


def test_help_says_how_to_run_it():
    done = subprocess.run(
        [sys.executable, "-m", "pipeline.probe", "--help"], cwd=ROOT, capture_output=True, text=True, check=True
    )
    assert "--encoder" in done.stdout and "results/probes/ENCODER/TASK" in done.stdout


def test_a_task_without_state_and_reward_has_tables_without_probes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    data = make_trajectories(episodes=4, length=11, validation=2)
    blank = replace(data, observation=np.zeros((len(data.reward), 0), np.float32), reward=np.zeros_like(data.reward))
    colourful = make_trajectories(episodes=4, length=11, validation=2)
    monkeypatch.chdir(tmp_path)
    write_trajectories(tmp_path, blank)
    write_frames(tmp_path, colourful)
    write_params(tmp_path, _tiny)
    pretrain.main("random", TASK)
    encode.main("random", TASK)
    probe.main("random", TASK)
    assert _table("random", "probes").is_empty() and dict(_table("random", "probes").schema) == PROBES
    assert len(_table("random", "properties")) == 3
