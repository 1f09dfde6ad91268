"""The whole way through under real DVC, on tiny settings: it ends in a report, does nothing twice, and repeats itself."""

import json
import subprocess
from pathlib import Path

import polars as pl
import pytest

from tests.study import commit, dvc, make_project
from tests.synthetic import TASK

pytestmark = pytest.mark.xdist_group("pipeline")


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A repository with the files of this one, tiny params, and one finished `dvc repro`."""
    root = tmp_path_factory.mktemp("pipeline") / "clone"
    make_project(root)
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


def test_dynamics_coverage_and_probes_are_measured_for_every_representation_and_look(project: Path):
    tables = {name: pl.read_parquet(project / f"results/{name}.parquet") for name in ("dynamics", "calibration", "probes")}
    for table in tables.values():
        assert set(table["encoder"]) == {"state", "scratch", "random_cnn", "autoencoder"}
        assert set(table["axis"]) == {"default", "color", "texture", "size"}
    assert set(tables["dynamics"]["metric"]) == {"kl", "state_nmse", "embedding_nmse"}
    assert tables["probes"].filter(encoder="state", target="state", method="ridge", axis="default")["value"].max() < 1e-4
    properties = pl.read_parquet(project / "results/properties.parquet").filter(property="signal_to_nuisance")
    assert properties.filter(axis="size")["value"].null_count() == len(properties.filter(axis="size"))
    assert properties.filter(encoder="scratch", axis="texture")["value"].min() > 0
    assert len(pl.read_parquet(project / "results/encoders.parquet")) == 4


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


def test_live_metrics_were_written_and_switching_them_off_runs_nothing_again(project: Path):
    metrics = f"dvclive/{TASK}/state/dreamerv3/seed-0/plots/metrics"
    assert (project / metrics / "reward_loss.tsv").read_text().startswith("step\treward_loss\n20\t")
    assert "file://" in dvc(project, "plots", "show", metrics, "-x", "step", "-o", str(project / ".dvc" / "tmp" / "plots"))
    output = dvc(project, "exp", "run", "-S", "track.dvclive=false")
    assert [line for line in output.splitlines() if line.startswith("Running stage")] == ["Running stage 'validate':"]
    subprocess.run(["git", "checkout", "-q", "--", "params.yaml", "dvc.lock"], cwd=project, check=True)


def test_the_same_seed_gives_the_same_metrics_bit_for_bit(project: Path):
    before = (project / "metrics.json").read_bytes()
    predictions = (project / "results" / "reward_error.parquet").read_bytes()
    dvc(project, "repro", "--force", "--no-run-cache", store="another-store")
    assert (project / "metrics.json").read_bytes() == before
    assert (project / "results" / "reward_error.parquet").read_bytes() == predictions


def test_a_shared_study_comes_back_in_a_clone_without_running_anything(project: Path, tmp_path: Path):
    commit(project, "what the forced run took")
    dvc(project, "remote", "add", "--force", "--local", "-d", "shared", str(tmp_path / "remote"))
    dvc(project, "push")
    clone = tmp_path / "clone"
    subprocess.run(["git", "clone", "-q", str(project), str(clone)], check=True)
    dvc(clone, "remote", "add", "--local", "-d", "shared", str(tmp_path / "remote"))
    dvc(clone, "pull")
    for file in ("metrics.json", "data/embeddings/cartpole_swingup/random/manifest.json", "report/index.html"):
        assert (clone / file).read_bytes() == (project / file).read_bytes()
    assert "Running stage" not in dvc(clone, "repro")


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
