"""Live metrics: each update once, however often training is killed; no result depends on them, no repository is touched."""

import os
import socket
import subprocess
import sys
import time
from collections.abc import Callable
from importlib.machinery import ModuleSpec
from pathlib import Path
from types import SimpleNamespace

import polars as pl
import pytest
from ruamel.yaml import YAML

from datasets.errors import UserError
from datasets.manifest import digest
from pipeline import encode, live, pretrain, train, training, validate
from pipeline.live import open_live
from pipeline.sections.track import Track
from tests.synthetic import ROOT, TASK, enter_project, make_trajectories
from tests.trainers.killing import KilledError, until
from trainers.offline import Point

MODEL = Path("models") / TASK / "state/dreamerv3"
FOLDER = Path("dvclive") / TASK / "state/dreamerv3/seed-0"
TINY = {
    "encode.batch": 8, "encode.chunk": 16, "encode.shard": 64,
    "train.updates": 70, "train.checkpoint_every": 30, "train.batch": 2, "train.length": 6,
    "train.rssm": {"size": "custom", "deter": 16, "hidden": 16, "stoch": 4, "classes": 4, "blocks": 4, "units": 16},
}  # fmt: skip
OFF = {"dvclive": False, "tensorboard": False, "wandb": None}


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, params_file: Callable[..., Path]) -> Callable[..., Path]:
    """`project(tensorboard=True)` is a folder with encoded `state` where that alone is tracked."""
    enter_project(tmp_path, monkeypatch, make_trajectories())
    params_file(TINY)
    pretrain.main("state", TASK)
    encode.main("state", TASK)

    def make(**track: object) -> Path:
        params_file(TINY | {"track": OFF | track})
        return tmp_path

    return make


def killed_after(monkeypatch: pytest.MonkeyPatch, update: int) -> None:
    """Train, the process being gone after an update."""
    with monkeypatch.context() as patch:
        patch.setattr(training, "track", lambda todo, *_: until(update)(todo))
        with pytest.raises(KilledError):
            train.main("state", TASK, "dreamerv3")


def dvclive_series() -> dict[str, list[tuple[int, float]]]:
    files = (FOLDER / "plots/metrics").glob("*.tsv")
    return {file.stem: [tuple(row) for row in pl.read_csv(file, separator="\t").rows()] for file in files}


def tensorboard_series() -> dict[str, list[tuple[int, float]]]:
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    events = EventAccumulator(str(FOLDER / "tensorboard")).Reload()
    return {name: [(event.step, event.value) for event in events.Scalars(name)] for name in events.Tags()["scalars"]}


def learned() -> dict[str, list[tuple[int, float]]]:
    rows = pl.read_parquet(MODEL / "seed-0/learning.parquet").select("metric", "update", "value").rows()
    return {name: [row[1:] for row in rows if row[0] == name] for name in {row[0] for row in rows}}


@pytest.mark.parametrize("kills", [[], [25], [45], [45, 65], [10]])
@pytest.mark.parametrize(("where", "series"), [("dvclive", dvclive_series), ("tensorboard", tensorboard_series)])
def test_a_series_is_what_was_learned_however_often_training_was_killed(where, series, kills, project, monkeypatch):
    """Checkpoints are at updates 30 and 60, points at 20, 40 and 60: a kill loses what was logged after a checkpoint."""
    if where == "tensorboard":
        pytest.importorskip("tensorboard")
    project(**{where: True})
    for update in kills:
        killed_after(monkeypatch, update)
        assert [step for step, _ in series().get("loss", [])] == list(range(20, update + 1, 20))
    train.main("state", TASK, "dreamerv3")
    expected = learned()
    assert [update for update, _ in expected["loss"]] == [20, 40, 60]
    found = series()
    assert found.keys() == expected.keys()
    for name, points in expected.items():
        assert [step for step, _ in found[name]] == [update for update, _ in points]
        assert [value for _, value in found[name]] == pytest.approx([value for _, value in points], rel=1e-6)


def test_another_runs_series_is_replaced(project, params_file, monkeypatch):
    project(dvclive=True)
    killed_after(monkeypatch, 45)
    params_file(TINY | {"track": OFF | {"dvclive": True}, "train.learning_rate": 0.001})
    train.main("state", TASK, "dreamerv3")
    other = learned()
    project(dvclive=True)  # back to the first, which goes on from its checkpoint
    train.main("state", TASK, "dreamerv3")
    assert learned() != other
    assert dvclive_series() == learned()


def test_a_model_is_the_same_bytes_whether_it_is_watched_or_not(project):
    project()
    train.main("state", TASK, "dreamerv3")
    unwatched = digest(MODEL)
    assert not Path("dvclive").exists()
    project(dvclive=True)
    train.main("state", TASK, "dreamerv3")
    assert digest(MODEL) == unwatched
    assert FOLDER.is_dir()


def test_no_stage_but_validate_depends_on_it():
    stages = YAML(typ="safe").load((ROOT / "dvc.yaml").read_text())["stages"]
    for name, stage in stages.items():
        watched = [param for param in stage.get("params", []) if not isinstance(param, str) or param.startswith("track")]
        assert bool(watched) == (name == "validate"), name


@pytest.mark.parametrize("package", ["dvclive", "tensorboard", "wandb"])
@pytest.mark.parametrize("found", [None, ModuleSpec("a folder", None)], ids=["missing", "a folder of its name"])
def test_a_missing_package_is_one_line_before_training(package: str, found, project, monkeypatch):
    project(**{package: "mine" if package == "wandb" else True})
    monkeypatch.setattr(live, "find_spec", lambda name: found)
    for command in (validate.main, lambda: train.main("state", TASK, "dreamerv3")):
        with pytest.raises(UserError, match=rf"^track\.{package}: {package} is not installed: pip install .*\[track\]") as error:
            command()
        assert "\n" not in str(error.value)
    assert not Path("dvclive").exists() and not Path("store/work/train").exists()


def test_git_is_not_touched_nothing_is_sent_and_nothing_is_said(project):
    """In a repository without a commit and without DVC, with a token of DVC's Studio at hand."""
    root = project(dvclive=True)
    subprocess.run(["git", "init", "-q"], check=True)
    with socket.create_server(("127.0.0.1", 0)) as studio:
        studio.setblocking(False)
        environment = os.environ | {
            "PYTHONPATH": str(ROOT), "DVC_STUDIO_TOKEN": "t", "DVC_STUDIO_REPO_URL": "git@example.com:a/b.git",
            "DVC_STUDIO_URL": f"http://127.0.0.1:{studio.getsockname()[1]}",
        }  # fmt: skip
        command = [sys.executable, "-m", "pipeline.train", "--encoder", "state", "--task", TASK, "--algorithm", "dreamerv3"]
        done = subprocess.run(command, cwd=root, env=environment, capture_output=True, text=True, timeout=120)
        assert done.returncode == 0, done.stderr
        with pytest.raises(BlockingIOError):
            studio.accept()
    assert [line.split()[0] for line in (done.stdout + done.stderr).splitlines()] == ["windows", "train"]
    status = subprocess.run(["git", "status", "--porcelain"], capture_output=True, text=True, check=True).stdout
    assert {line[:2] for line in status.splitlines()} == {"??"}
    assert not (root / ".dvc").exists()
    assert len(dvclive_series()["loss"]) == 3


def _points(*updates: int) -> list[Point]:
    return [Point(update, metric, float(update)) for update in updates for metric in ("loss", "reward_loss")]


def test_a_wandb_run_is_only_told_what_it_lacks(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """W&B keeps what a killed process sent, and refuses steps before its last."""
    monkeypatch.chdir(tmp_path)
    told: list[tuple[int, dict[str, float]]] = []
    started: list[dict[str, object]] = []

    class Run:
        step = 41  # as after update 40

        def __enter__(self) -> "Run":
            return self

        def __exit__(self, *_: object) -> None:
            told.append((0, {}))

        def log(self, values: dict[str, float], step: int) -> None:
            told.append((step, values))
            self.step = step

    def init(**arguments: object) -> Run:
        started.append(arguments)
        return Run()

    fake = SimpleNamespace(init=init, Settings=dict, Error=RuntimeError)
    monkeypatch.setitem(sys.modules, "wandb", fake)  # type: ignore[arg-type]
    with open_live(Track(dvclive=False, tensorboard=False, wandb="mine"), TASK, "state", "dreamerv3", 3, "abc") as on_points:
        on_points(_points(20, 40))
        on_points(_points(60))
    assert told == [(60, {"loss": 60.0, "reward_loss": 60.0}), (0, {})]
    assert started[0]["project"] == "mine" and started[0]["id"] == "abc-3" and started[0]["resume"] == "allow"
    assert started[0]["name"] == f"{TASK}/state/dreamerv3/3"


def test_what_wandb_refuses_is_one_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.chdir(tmp_path)

    def init(**_: object) -> None:
        raise RuntimeError("No API key configured.\nUse `wandb login`")

    fake = SimpleNamespace(init=init, Settings=dict, Error=RuntimeError)
    monkeypatch.setitem(sys.modules, "wandb", fake)  # type: ignore[arg-type]
    refused = pytest.raises(UserError, match=r"^track\.wandb: No API key configured\. \(WANDB_MODE=offline .*\)$")
    with refused, open_live(Track(dvclive=False, tensorboard=False, wandb="mine"), TASK, "state", "dreamerv3", 0, "abc"):
        pass


def test_wandb_itself_keeps_a_run_offline(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]):
    pytest.importorskip("wandb")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("WANDB_MODE", "offline")
    with open_live(Track(dvclive=False, tensorboard=False, wandb="mine"), TASK, "state", "dreamerv3", 0, "abc") as on_points:
        on_points(_points(20, 40))
    (run,) = (FOLDER / "wandb").glob("offline-run-*-abc-0/run-abc-0.wandb")
    deadline = time.monotonic() + 20  # another process writes it
    while b"reward_loss" not in run.read_bytes():
        assert time.monotonic() < deadline
        time.sleep(0.1)
    assert capfd.readouterr() == ("", "")
    assert not Path("wandb").exists()
