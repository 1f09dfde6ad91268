"""The whole way through under real DVC, on tiny settings: it ends in a report, does nothing twice, and repeats itself."""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from tests.synthetic import ROOT, TASK, write_params

pytestmark = pytest.mark.xdist_group("pipeline")


def tiny(values: dict[str, Any]) -> None:
    """Seconds a stage."""
    values["collect"].update(
        episode_steps=200,
        episodes={"random": 4, "medium": 2, "replay": 4, "expert": 2},
        validation={"random": 1, "medium": 1, "replay": 1, "expert": 1},
    )
    values["collect"]["sac"].update(steps=300, learning_starts=100, checkpoint_every=100, hidden=16, batch=32)
    values["render"].update(axes=["texture", "size"], severities=[0.5, 1.0], episodes_per_shard=4)
    values["render"]["train_looks"].update(axes=["color"], looks_per_severity=1)
    values["pretrain"]["autoencoder"].update(updates=20, batch=16, dim=8)
    values["train"].update(updates=20, checkpoint_every=10, batch=4, length=8)
    values["train"]["rssm"].update(deter=32, hidden=32, stoch=4, classes=4, units=32)
    values["evaluate"].update(horizon=3, long_starts=2, latents=50)
    values["finetune"].update(
        offline_updates=2, env_steps=200, envs=2, train_every=50, batch=4, length=8, imagine=3, eval_every=100, eval_episodes=2
    )
    values["report"].update(bootstrap=50)


def dvc(project: Path, *arguments: str, store: str = "store", check: bool = True) -> str:
    environment = os.environ | {
        "ENCORE_STORE": str(project / ".dvc" / store), "OMP_NUM_THREADS": "1",
        "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}",
        "GIT_AUTHOR_NAME": "t", "GIT_AUTHOR_EMAIL": "t@t", "GIT_COMMITTER_NAME": "t", "GIT_COMMITTER_EMAIL": "t@t",
    }  # fmt: skip
    done = subprocess.run(
        [sys.executable, "-m", "dvc", *arguments], cwd=project, env=environment, capture_output=True, text=True, timeout=900
    )
    output = done.stdout + done.stderr
    assert not check or done.returncode == 0, output[-4000:]
    assert check or done.returncode != 0, output[-4000:]
    return output


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A repository with the files of this one, tiny params, and one finished `dvc repro`."""
    root = tmp_path_factory.mktemp("pipeline") / "clone"
    listed = subprocess.run(
        ["git", "ls-files", "--cached", "--others", "--exclude-standard"], cwd=ROOT, capture_output=True, text=True, check=True
    )
    for name in listed.stdout.splitlines():
        if (ROOT / name).is_file() and not name.startswith("tests/") and name != "dvc.lock":
            (root / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(ROOT / name, root / name)
    write_params(root, tiny)
    git = ["git", "-c", "user.name=t", "-c", "user.email=t@t"]
    for command in (["init", "-q"], ["add", "-A"], ["commit", "-qm", "start"]):
        subprocess.run([*git, *command], cwd=root, check=True)
    dvc(root, "repro")
    for command in (["add", "-A"], ["commit", "-qm", "ran"]):
        subprocess.run([*git, *command], cwd=root, check=True)
    return root


def test_repro_ends_in_the_report_and_the_tables(project: Path):
    assert (project / "report" / "index.html").stat().st_size > 10_000
    table = pl.read_parquet(project / "results" / "reward_error.parquet")
    key = ["encoder", "algorithm", "seed", "preset", "task", "variant", "axis", "severity", "split", "quality"]
    key += ["episode", "t", "horizon"]
    assert set(table.columns) == {*key, "reward", "reward_pred"}
    assert table.select(pl.struct(key).is_duplicated().any()).item() is False
    assert set(table["encoder"].unique()) == {"state", "scratch", "random_cnn", "autoencoder"}
    assert table.filter(pl.col("t") == 0).is_empty()
    assert table["horizon"].max() > 3  # long starts
    assert not table["reward_pred"].is_nan().any()


def test_looks_that_were_trained_on_and_resized_bodies_are_told_apart(project: Path):
    table = (
        pl.scan_parquet(project / "results" / "reward_error.parquet")
        .select("axis", "split", "episode", "severity")
        .unique()
        .collect()
    )
    assert set(table.select("axis", "split").unique().rows()) == {
        ("default", "id"), ("color", "id"), ("texture", "ood"), ("size", "ood"),
    }  # fmt: skip
    own = {axis: set(table.filter(axis=axis)["episode"]) for axis in ("default", "color", "texture", "size")}
    assert own["default"] == own["color"] == own["texture"]
    assert not own["size"] & own["default"]
    looks = pl.read_parquet(project / "results" / "looks.parquet")
    assert set(looks["axis"]) == {"color", "texture", "size"}
    summary = pl.read_parquet(project / "results" / "summary.parquet").filter(by="look", horizon=0, encoder="scratch")
    assert set(summary.filter(axis="color")["split"]) == {"id"}
    assert summary.filter(axis="size")["mae_increase"].null_count() == 0
    page = (project / "report" / "index.html").read_text()
    assert "color (trained on)" in page and "their increase is not paired" in page


def test_state_is_blind_to_every_look(project: Path):
    table = pl.scan_parquet(project / "results" / "reward_error.parquet").filter(pl.col("encoder") == "state")
    spread = (
        table.filter(pl.col("axis") != "size")
        .group_by("episode", "t", "horizon")
        .agg(pl.col("reward_pred").n_unique().alias("n"), pl.len().alias("looks"))
        .collect()
    )
    assert spread["n"].max() == 1 and spread["looks"].min() > 1


def test_a_second_repro_does_nothing_and_touches_nothing(project: Path):
    assert "Running stage" not in dvc(project, "repro")
    changed = subprocess.run(["git", "status", "--porcelain"], cwd=project, capture_output=True, text=True, check=True)
    assert changed.stdout == ""


def test_metrics_plots_and_experiments_say_something(project: Path):
    assert "state" in dvc(project, "metrics", "show")
    assert "file://" in dvc(project, "plots", "show", "-o", str(project / ".dvc" / "tmp" / "plots"))


def test_the_same_seed_gives_the_same_metrics_bit_for_bit(project: Path):
    before = (project / "metrics.json").read_bytes()
    predictions = (project / "results" / "reward_error.parquet").read_bytes()
    dvc(project, "repro", "--force", "--no-run-cache", store="another-store")
    assert (project / "metrics.json").read_bytes() == before
    assert (project / "results" / "reward_error.parquet").read_bytes() == predictions


def test_selecting_an_encoder_reuses_what_did_not_change(project: Path):
    output = dvc(project, "exp", "run", "-S", "encoder=random")
    ran = sorted(line.split("'")[1] for line in output.splitlines() if line.startswith("Running stage"))
    assert ran == [f"finetune@random-{TASK}-dreamerv3", "report", "validate"]
    metrics = json.loads((project / "metrics.json").read_text())
    assert metrics["selected"]["encoder"] == "random_cnn"
    assert "random" in dvc(project, "exp", "show", "--csv")
    assert "Running stage" not in dvc(project, "repro")


@pytest.mark.parametrize(
    ("change", "word"),
    [
        ("encoder=autoencodr", "did you mean 'autoencoder'"),
        ("seed=-1", "seed"),
        ("seed=many", "seed"),
        ("train.updates=0", "train.updates"),
    ],
)
def test_a_mistake_in_params_is_one_line_and_no_work(project: Path, change: str, word: str):
    before = (project / "params.yaml").read_bytes()
    output = dvc(project, "exp", "run", "-S", change, check=False)
    (project / "params.yaml").write_bytes(before)
    assert word in output and "Traceback" not in output
