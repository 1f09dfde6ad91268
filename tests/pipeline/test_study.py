"""A study under real Git and DVC: swept, resumed, compared; experiments are read from DVC's cache, checked out or not."""

import json
import os
import re
import shutil
import signal
import subprocess
import time
from pathlib import Path

import polars as pl
import pytest

from analysis.experiments import scan_experiments
from datasets.errors import UserError
from pipeline.params import load_params, parse_params
from pipeline.study import changes, encoders
from tests.planted_study import BETTER, FAILS, command, make_repository, run, settings
from tests.study import commit, dvc
from tests.synthetic import ROOT, write_params

pytestmark = pytest.mark.xdist_group("study")
ONE_LINE = re.compile(r"^error: .*$", re.MULTILINE)


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("study") / "project"
    make_repository(root)
    return root


@pytest.fixture(scope="module")
def swept(project: Path) -> subprocess.CompletedProcess[str]:
    return run(project, "pipeline.study")


def names(project: Path) -> set[str]:
    return set(dvc(project, "exp", "list", "--name-only").split())


def test_it_runs_every_encoder_and_compares_them(project: Path, swept: subprocess.CompletedProcess[str]) -> None:
    assert swept.returncode == 0, swept.stderr
    assert {name.rpartition("-")[0] for name in names(project)} == {"study-state", f"study-{BETTER}"}
    rows = pl.read_parquet(project / "comparison/results/reward_error.parquet")
    assert set(rows["encoder"]) == {"state", "scratch", "random_cnn", "autoencoder", BETTER}
    page = (project / "comparison/index.html").read_text()
    assert BETTER in page and "cartpole_swingup" in page
    claims = pl.read_parquet(project / "comparison/results/claims.parquet")
    assert {"1", "2", "3a", "4a", "5", "6", "7-texture"} <= set(claims["id"]) and set(claims["verdict"]) == {"undecided"}
    status = subprocess.run(["git", "status", "--porcelain"], cwd=project, capture_output=True, text=True, check=True)
    assert status.stdout == ""  # the project itself is as it was


def test_what_is_finished_is_not_run_again_and_one_that_fails_is_named(
    project: Path, swept: subprocess.CompletedProcess[str]
) -> None:
    before = names(project)
    write_params(project, lambda values: (settings(values), values["study"].update(encoders=["state", FAILS, BETTER]))[0])
    done = run(project, "pipeline.study")
    assert done.returncode == 1 and "3 encoders, 2 of them finished before" in done.stderr
    errors = ONE_LINE.findall(done.stderr)
    assert f"1 of 3 encoders failed: {FAILS}; the comparison has the others" in errors[-1], done.stderr
    assert names(project) == before and (project / "comparison/index.html").is_file()
    write_params(project, settings)


def test_experiments_are_read_without_checking_them_out(project: Path, swept: subprocess.CompletedProcess[str]) -> None:
    own = next(name for name in names(project) if BETTER in name)
    assert not (project / "results").exists()
    found = scan_experiments([own], root=project)
    assert set(found.rows.select("encoder").unique().collect()["encoder"]) >= {BETTER, "scratch"}
    assert ".dvc/cache" in found.rows.explain() and found.missing == [] and not (project / "results").exists()
    costs = scan_experiments([own], "costs", project).rows.collect()
    assert costs["bytes"].to_list() == [1000]


def test_a_revision_without_results_is_named(project: Path, swept: subprocess.CompletedProcess[str]) -> None:
    own = next(iter(names(project)))
    found = scan_experiments(["HEAD", own], root=project)
    assert list(found.frames) == [own] and "HEAD has no results/reward_error.parquet" in found.missing[0]
    done = run(project, "pipeline.compare", "HEAD", own, "--out", "out")
    assert done.returncode == 0 and "HEAD has no results/reward_error.parquet" in (project / "out/index.html").read_text()


def test_results_that_are_not_on_this_machine_are_named(
    project: Path, swept: subprocess.CompletedProcess[str], tmp_path: Path
) -> None:
    copy = Path(shutil.copytree(project, tmp_path / "copy", symlinks=True))
    shutil.rmtree(copy / ".dvc/cache/files")
    own = next(iter(names(copy)))
    found = scan_experiments([own], root=copy)
    said = "is not in DVC's cache on this machine; `dvc fetch` or `dvc exp pull` brings it"
    assert not found.frames and said in found.missing[0]
    done = run(copy, "pipeline.compare", own, "--out", "out")
    assert done.returncode == 1 and len(ONE_LINE.findall(done.stderr)) == 1 and "Traceback" not in done.stderr


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["nowhere"], "nowhere is neither a folder nor a revision or experiment known here"),
        (["workspace", "workspace"], "workspace is named twice"),
        (["workspace"], "no reward errors to compare"),
        (["workspace", "--out", ".dvc"], ".dvc is there and is no comparison"),
    ],
)
def test_mistakes_are_one_line(project: Path, arguments: list[str], words: str) -> None:
    done = run(project, "pipeline.compare", *arguments)
    lines = done.stderr.splitlines()
    assert done.returncode == 1 and len(lines) == 1 and words in lines[0], done.stderr


def test_a_scratch_of_its_own_is_kept_apart(project: Path, swept: subprocess.CompletedProcess[str]) -> None:
    own = next(name for name in names(project) if BETTER in name)
    dvc(project, "exp", "run", "--temp", "-n", "longer", "-S", f"encoder={BETTER}", "-S", "train.updates=7")
    done = run(project, "pipeline.compare", own, "longer", "--out", "out-apart")
    assert done.returncode == 0, done.stderr
    page = (project / "out-apart/index.html").read_text()
    labels = set(pl.read_parquet(project / "out-apart/results/reward_error.parquet")["encoder"])
    assert {f"scratch@{own}", "scratch@longer", "state"} <= labels and "scratch is not the same in" in page
    assert "train.updates" in page  # in what the experiments differ
    index = pl.read_parquet(project / "out-apart/results/experiments.parquet")
    assert index["experiment"].to_list() == [own, "longer"] and index["selected"].to_list() == [BETTER, BETTER]


def test_a_comparison_is_the_same_bytes_again_and_a_source_itself(project: Path, swept: subprocess.CompletedProcess[str]) -> None:
    sources = sorted(names(project) - {"longer"})
    assert run(project, "pipeline.compare", *sources, "--out", "out-twice").returncode == 0
    files = {path: path.read_bytes() for path in (project / "out-twice").rglob("*") if path.is_file()}
    assert run(project, "pipeline.compare", *sources, "--out", "out-twice").returncode == 0
    assert all(path.read_bytes() == content for path, content in files.items())
    assert scan_experiments(["out-twice"], root=project).missing == []


def test_metrics_of_two_encoders_compare(project: Path, swept: subprocess.CompletedProcess[str]) -> None:
    first, second = sorted(names(project) - {"longer"})
    found = json.loads(dvc(project, "metrics", "diff", first, second, "--json"))
    assert found["metrics.json"]["selected.encoder"] == {"old": BETTER, "new": "state"}


def test_a_folder_that_is_no_repository_is_one_line(tmp_path: Path) -> None:
    write_params(tmp_path, settings)
    done = run(tmp_path, "pipeline.study")
    assert done.returncode == 1 and "Traceback" not in done.stderr and len(done.stderr.splitlines()) == 1, done.stderr
    with pytest.raises(UserError, match="neither a folder"):
        scan_experiments(["main"], root=tmp_path)


def test_another_commit_is_another_study(project: Path, swept: subprocess.CompletedProcess[str]) -> None:
    commit(project, "later")
    from tests.study import dvc as at

    assert not at(project, "exp", "list", "--name-only").split()


@pytest.mark.slow
def test_a_killed_study_goes_on(tmp_path: Path) -> None:
    project, said = tmp_path / "project", tmp_path / "said"
    make_repository(project)
    for until in ("Running stage", "(2 of"):
        with open(said, "w") as file:
            process = subprocess.Popen(**command(project, "pipeline.study"), stderr=file, start_new_session=True)
        while until not in said.read_text() and process.poll() is None:
            time.sleep(0.1)
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()
    done = run(project, "pipeline.study")
    assert done.returncode == 0 and "1 of them finished before" in done.stderr, done.stderr
    assert {name.rpartition("-")[0] for name in names(project)} == {"study-state", f"study-{BETTER}"}


@pytest.mark.slow
def test_dvc_s_queue_runs_several_at_a_time(tmp_path: Path) -> None:
    make_repository(tmp_path, lambda v: (settings(v), v["study"].update(encoders=["state", FAILS, BETTER], jobs=2))[0])
    done = run(tmp_path, "pipeline.study")
    assert done.returncode == 1 and f"1 of 3 encoders failed: {FAILS}" in done.stderr, done.stderr
    assert {name.rpartition("-")[0] for name in names(tmp_path)} == {"study-state", f"study-{BETTER}"}
    assert "3 encoders, 2 of them finished before" in run(tmp_path, "pipeline.study").stderr


def test_what_is_swept_where_nothing_is_said() -> None:
    values = load_params(ROOT / "params.yaml").model_dump(by_alias=True)
    values["encoder"] = "random"
    values["weights"] |= {"vc1": "weights/vc1.pth", "random_cnn": "elsewhere.pt"}
    p = parse_params(values)
    assert encoders(p) == ["random", "vc1", "state", "random_vit", "mae_indomain", "dino_indomain"]
    assert changes("vc1", p) == ["-S", "encoder=vc1", "-S", f"weights.vc1={Path('weights/vc1.pth').resolve()}"]
    assert changes("state", p) == ["-S", "encoder=state"]
