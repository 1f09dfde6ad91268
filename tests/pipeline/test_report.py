"""The report stage: from parts on disk to one page, tables and metrics; clear about what is missing; same bytes every time."""

import hashlib
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from analysis.statistics.properties import coded
from datasets.manifest import write_manifest
from tests.analysis.planted import SMALL, write_tree
from tests.synthetic import ROOT, TASK, write_params

OUTPUTS = (
    "results/reward_error.parquet",
    "results/summary.parquet",
    "results/measures.parquet",
    "results/reliability.parquet",
    "results/learning.parquet",
    "results/online.parquet",
    "results/dynamics.parquet",
    "results/calibration.parquet",
    "results/recordings.parquet",
    "results/probes.parquet",
    "results/properties.parquet",
    "results/encoders.parquet",
    "results/claims.parquet",
    "metrics.json",
)


def small(values: dict[str, Any]) -> None:
    values["report"]["bootstrap"] = 100
    values["evaluate"]["horizon"] = SMALL.short


def command(project: Path) -> dict[str, Any]:
    environment = os.environ | {"ENCORE_STORE": str(project / "store"), "PYTHONPATH": str(ROOT)}
    return {"args": [sys.executable, "-m", "pipeline.report"], "cwd": project, "env": environment}


def report(project: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(**command(project), capture_output=True, text=True, timeout=120)


def hashes(project: Path) -> dict[str, str]:
    files = [project / name for name in OUTPUTS] + [p for p in (project / "report").rglob("*") if p.is_file()]
    return {p.relative_to(project).as_posix(): hashlib.sha256(p.read_bytes()).hexdigest() for p in files}


@pytest.fixture(scope="module")
def inputs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("report") / "inputs"
    root.mkdir()
    write_tree(root, SMALL)
    write_params(root, small)
    return root


@pytest.fixture(scope="module")
def finished(inputs: Path) -> dict[str, str]:
    """Hashes of what an uninterrupted run writes."""
    project = inputs.with_name("finished")
    shutil.copytree(inputs, project)
    done = report(project)
    assert done.returncode == 0, done.stderr
    return hashes(project)


@pytest.fixture
def project(inputs: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(inputs, tmp_path / "project"))


def test_it_writes_every_output(inputs: Path, finished: dict[str, str]) -> None:
    project = inputs.with_name("finished")
    rows = pl.read_parquet(project / "results/reward_error.parquet")
    assert set(rows["encoder"]) == {"state", "scratch", "random_cnn", "autoencoder"}
    for name in ("measures", "reliability", "dynamics", "calibration", "recordings", "probes", "properties", "encoders"):
        assert set(pl.read_parquet(project / f"results/{name}.parquet")["encoder"]) == set(rows["encoder"]), name
    assert coded(pl.read_parquet(project / "results/encoders.parquet"))["objective"].unique().to_list() == ["pixels"]
    metrics = json.loads((project / "metrics.json").read_text())
    assert metrics["selected"] == {"encoder": "state"} | metrics["encoders"]["state"]
    assert not pl.read_parquet(project / "results/costs.parquet").height  # only stages whose outputs lie here now
    assert "was not fine-tuned" not in (project / "report/index.html").read_text()


def test_running_again_gives_the_same_bytes(inputs: Path, finished: dict[str, str]) -> None:
    project = inputs.with_name("finished")
    assert report(project).returncode == 0
    assert hashes(project) == finished
    costs = pl.read_parquet(project / "results/costs.parquet")
    assert costs["stage"].to_list() == ["report"] and costs["wall_s"].item() > 0


def test_a_killed_run_leaves_nothing_half_written(project: Path, finished: dict[str, str]) -> None:
    start = time.monotonic()
    for seconds in (1.0, 2.0, 3.5):
        process = subprocess.Popen(**command(project), stderr=subprocess.DEVNULL, start_new_session=True)
        time.sleep(seconds)
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()
        assert not (project / "report").exists() or hashes(project) == finished
    assert report(project).returncode == 0, time.monotonic() - start
    assert hashes(project) == finished


def test_one_missing_online_part_is_named_on_the_page(project: Path) -> None:
    shutil.rmtree(project / "results/online/scratch")
    assert report(project).returncode == 0
    assert "scratch was not fine-tuned on cartpole_swingup" in (project / "report/index.html").read_text()


def _add_dinowm(project: Path) -> None:
    """The same parts under a second algorithm's name, worse with the horizon, and the empty tables that finetune leaves."""
    for folder in list((project / "results/parts").glob(f"*/{TASK}/dreamerv3")):
        other = Path(shutil.copytree(folder, folder.with_name("dinowm")))
        named = pl.lit("dinowm").alias("algorithm")
        errors = pl.read_parquet(other / "reward_error.parquet")
        worse = (pl.col("reward_pred") + 0.1 * pl.col("horizon")).cast(pl.Float32)
        errors.with_columns(named, reward_pred=worse).write_parquet(other / "reward_error.parquet")
        for name in ("dynamics.parquet", "calibration.parquet", "recordings.parquet"):
            pl.read_parquet(other / name).with_columns(named).write_parquet(other / name)
        learning = pl.read_parquet(other / "learning.parquet").with_columns(named)
        metric = pl.col("metric").replace("dynamics_loss", "consistency_loss")
        learning.with_columns(metric).write_parquet(other / "learning.parquet")
        write_manifest(other, {"stage": "evaluate"})
    for folder in list((project / "results/online").glob(f"*/{TASK}/dreamerv3")):
        other = Path(shutil.copytree(folder, folder.with_name("dinowm")))
        pl.read_parquet(other / "online.parquet").clear().write_parquet(other / "online.parquet")
        write_manifest(other, {"stage": "finetune"})


def test_two_algorithms_stand_side_by_side_and_what_one_cannot_do_is_said(project: Path) -> None:
    _add_dinowm(project)
    write_params(project, lambda values: (small(values), values.update(algorithms=["dreamerv3", "dinowm"]))[0])
    done = report(project)
    assert done.returncode == 0, done.stderr
    page = (project / "report/index.html").read_text()
    assert "cartpole_swingup, dreamerv3" in page and "cartpole_swingup, dinowm" in page
    assert "dinowm has no agent: scratch was not fine-tuned on cartpole_swingup." in page
    summary = pl.read_parquet(project / "results/summary.parquet").filter(by="look", axis="default", horizon=SMALL.short)
    mae = {
        algorithm: dict(summary.filter(algorithm=algorithm).select("encoder", "mae").rows())
        for algorithm in ("dreamerv3", "dinowm")
    }
    assert mae["dinowm"].keys() == mae["dreamerv3"].keys()
    assert all(mae["dinowm"][encoder] > mae["dreamerv3"][encoder] for encoder in mae["dreamerv3"])
    assert pl.read_parquet(project / "results/online.parquet")["algorithm"].unique().to_list() == ["dreamerv3"]
    learning = pl.read_csv(project / "report/plots/learning.csv")
    assert learning.filter(algorithm="dinowm")["consistency_loss"].null_count() == 0
    _run_documented(project)


def test_an_algorithm_without_an_agent_alone_makes_a_report(project: Path) -> None:
    _add_dinowm(project)
    write_params(project, lambda values: (small(values), values.update(algorithms=["dinowm"]))[0])
    done = report(project)
    assert done.returncode == 0, done.stderr
    assert "dinowm has no agent" in (project / "report/index.html").read_text()
    assert "online" not in json.loads((project / "metrics.json").read_text())["selected"]


def _one_line(done: subprocess.CompletedProcess[str], *parts: str) -> None:
    lines = [line for line in done.stderr.splitlines() if not line.startswith("resuming")]
    assert done.returncode == 1 and len(lines) == 1 and lines[0].startswith("error: "), done.stderr
    assert all(part in lines[0] for part in parts), lines[0]


def test_no_online_part_at_all_is_an_error(project: Path) -> None:
    shutil.rmtree(project / "results/online")
    _one_line(report(project), "results/online/state", "dvc repro")


@pytest.mark.parametrize(
    "folder",
    [
        f"results/parts/scratch/{TASK}/dreamerv3",
        f"results/probes/scratch/{TASK}",
        f"data/frames/{TASK}",
        f"data/trajectories/{TASK}",
    ],
)
def test_a_missing_input_is_named(project: Path, folder: str) -> None:
    shutil.rmtree(project / folder)
    _one_line(report(project), folder, "missing")
    assert not (project / "report").exists() and not (project / "metrics.json").exists()


def test_a_flipped_byte_in_a_part_is_named(project: Path) -> None:
    path = project / f"results/parts/state/{TASK}/dreamerv3/reward_error.parquet"
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    path.write_bytes(data)
    _one_line(report(project), "reward_error.parquet", "corrupt")
    assert not (project / "report").exists() and not (project / "metrics.json").exists()


def test_two_names_of_one_representation_count_once(project: Path) -> None:
    """`random_cnn` and the reference `random` are the same: the selected name's part is read, the other is not needed."""
    for kind in ("parts", "probes"):
        (project / f"results/{kind}/random").rename(project / f"results/{kind}/random_cnn")
    shutil.copytree(project / "results/online/state", project / "results/online/random_cnn")
    write_params(project, lambda values: (small(values), values.update(encoder="random_cnn"))[0])
    done = report(project)
    assert done.returncode == 0, done.stderr
    metrics = json.loads((project / "metrics.json").read_text())
    assert list(metrics["encoders"]) == ["autoencoder", "random_cnn", "scratch", "state"]
    assert metrics["selected"]["filtering_r2"] == metrics["encoders"]["random_cnn"]["filtering_r2"]


def test_scratch_at_64_pixels_is_compared_with_scratch(project: Path) -> None:
    for kind in ("parts", "probes", "online"):
        own = Path(shutil.copytree(project / f"results/{kind}/scratch", project / f"results/{kind}/scratch_64"))
        for table in own.rglob("*.parquet"):
            pl.read_parquet(table).with_columns(encoder=pl.lit("scratch_64")).write_parquet(table)
        for folder in [manifest.parent for manifest in own.rglob("manifest.json")]:
            write_manifest(folder, {"stage": "evaluate"})
    write_params(project, lambda values: (small(values), values.update(encoder="scratch_64"))[0])
    done = report(project)
    assert done.returncode == 0, done.stderr
    metrics = json.loads((project / "metrics.json").read_text())
    assert metrics["selected"] == {"encoder": "scratch_64"} | metrics["encoders"]["scratch"]
    assert "scratch_64" in (project / "report/index.html").read_text()


def test_a_comparison_shows_what_the_report_shows_and_every_row_once(project: Path) -> None:
    assert report(project).returncode == 0
    shutil.copytree(project / "results", project / "other/results")
    again = command(project) | {"args": [sys.executable, "-m", "pipeline.compare", "workspace", "other"]}
    done = subprocess.run(**again, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr
    for name in ("reward_error", "dynamics", "calibration", "probes", "properties", "manifold", "measures", "claims"):
        own, both = (pl.read_parquet(project / folder / f"results/{name}.parquet") for folder in (".", "comparison"))
        assert len(own) == len(both), name
    shown = [
        {*re.findall(r'<(?:figure|section) id="([^"]*)"', (project / folder / "index.html").read_text())}
        for folder in ("report", "comparison")
    ]
    frames = f"{TASK}-dreamerv3-recording"  # a comparison reads tables alone
    assert shown[0] - shown[1] <= {"costs", frames} and {f"{TASK}-dreamerv3-dynamics", "claims"} <= shown[1]


def _run_documented(project: Path) -> None:
    """Every snippet of docs/tables.md on tables that this stage writes, and every script of analysis/examples."""
    snippets = re.findall(r"```python\n(.*?)```", (ROOT / "docs/tables.md").read_text(), re.DOTALL)
    code = [snippet for snippet in snippets if "results/parts" not in snippet and "results/probes/" not in snippet]
    code += [path.read_text() for path in sorted((ROOT / "analysis/examples").glob("[a-z]*.py"))]
    assert len(code) >= 8
    command, environment = [sys.executable, "-c", "\n".join(code)], os.environ | {"PYTHONPATH": str(ROOT)}
    done = subprocess.run(command, cwd=project, env=environment, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr
    assert done.stdout.count("shape: ") == len(code) and "autoencoder" in done.stdout


def test_the_documented_examples_run_on_its_tables(inputs: Path, finished: dict[str, str]) -> None:
    _run_documented(inputs.with_name("finished"))


def test_help_is_quick() -> None:
    start = time.monotonic()
    done = subprocess.run(
        [sys.executable, "-m", "pipeline.report", "--help"], cwd=ROOT, capture_output=True, text=True, check=True
    )
    assert time.monotonic() - start < 1.5 and "results/parts" in done.stdout


def test_analysis_needs_no_torch() -> None:
    files = [p for folder in ("analysis", "analysis/statistics", "analysis/claims") for p in sorted((ROOT / folder).glob("*.py"))]
    modules = [".".join(p.relative_to(ROOT).with_suffix("").parts) for p in files if p.stem != "__init__"]
    code = f"import sys; import {', '.join(modules)}; assert not {{'torch', 'pipeline', 'trainers'}} & set(sys.modules)"
    subprocess.run([sys.executable, "-c", code], cwd=ROOT, check=True)
