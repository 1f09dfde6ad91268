"""Killing a stage at any moment, then running the same command, ends in what an uninterrupted run gives.

Real processes, real data, SIGKILL at times spread over the stage's measured length; once the whole process group dies, once
only the parent (as when DVC alone is killed).
"""

import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from contextlib import suppress
from glob import glob
from pathlib import Path

import numpy as np
import pytest

from datasets.manifest import digest, verify
from tests.synthetic import ROOT, TASK, write_params

pytestmark = pytest.mark.xdist_group("interruptions")  # one measured run serves them all

STAGES = {
    "collect": ([], Path("data/trajectories") / TASK),
    "render": ([], Path("data/frames") / TASK),
    "encode": (["--encoder", "autoencoder"], Path("data/embeddings") / TASK / "autoencoder"),
    "train": (["--encoder", "autoencoder", "--algorithm", "dreamerv3"], Path("models") / TASK / "autoencoder" / "dreamerv3"),
}
FRACTIONS = (0.35, 0.6, 0.85)


def _tiny(values):
    values["collect"].update(
        episode_steps=200,
        episodes={"random": 4, "medium": 2, "replay": 4, "expert": 2},
        validation={"random": 1, "medium": 1, "replay": 1, "expert": 1},
    )
    values["collect"]["sac"].update(steps=400, learning_starts=100, checkpoint_every=100, hidden=16, batch=32)
    values["render"].update(severities=[1.0], episodes_per_shard=2)
    values["pretrain"]["autoencoder"].update(updates=20, batch=16, dim=8)
    values["encode"].update(batch=8, chunk=16, shard=64)
    values["train"].update(updates=60, checkpoint_every=10, batch=4, length=8)
    values["train"]["rssm"].update(deter=32, hidden=32, stoch=4, classes=4, units=32)


def _tiny_training(values):
    """Long enough for twenty kills, with a checkpoint every fifth of a second or so."""
    _tiny(values)
    values["train"].update(updates=400, seeds=[0, 1])
    sizes = {"encoder": 16, "encoder_layers": 2, "latent": 16, "mlp": 16, "q": 2, "channels": 4}
    values["train"]["tdmpc2"].update(updates=400, batch=4, custom=sizes)
    values["train"]["dinowm"].update(updates=400, batch=4, length=8, depth=1, heads=2, head_width=8, mlp=32)
    values["compute"].update(workers=2)


def _tiny_online(values):
    _tiny_training(values)
    values["train"].update(updates=20, seeds=[0], checkpoint_every=20)
    values["train"]["tdmpc2"].update(updates=20)
    values["finetune"].update(
        arms=["online", "offline_only", "from_nothing"], offline_updates=40, env_steps=2000, envs=2, train_every=10, batch=4,
        length=8, imagine=3, imagine_last=2, eval_every=500, eval_episodes=2, eval_looks="last", eval_look_episodes=1,
    )  # fmt: skip
    values["finetune"]["tdmpc2"].update(train_every=10, batch=8)
    values["finetune"]["tdmpc2"]["plan"].update(iterations=2, samples=32, elites=8, from_policy=4)


def _command(stage: str, extra: list[str]) -> list[str]:
    return [sys.executable, "-m", f"pipeline.{stage}", "--task", TASK, *extra]


def _environment(store: Path) -> dict[str, str]:
    return os.environ | {"ENCORE_STORE": str(store), "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"}


def _run(project: Path, store: Path, stage: str, extra: list[str]) -> float:
    start = time.monotonic()
    done = subprocess.run(
        _command(stage, extra), cwd=project, env=_environment(store), capture_output=True, text=True, timeout=300
    )
    assert done.returncode == 0, done.stderr
    return time.monotonic() - start


def _start(project: Path, store: Path, stage: str, extra: list[str]) -> subprocess.Popen[bytes]:
    return subprocess.Popen(
        _command(stage, extra), cwd=project, env=_environment(store), start_new_session=True,
        stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
    )  # fmt: skip


def _copy_inputs(source: Path, project: Path) -> None:
    shutil.copytree(source / "data", project / "data")
    shutil.copy(source / "params.yaml", project)


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, dict[str, float]]:
    """A whole uninterrupted run, and the seconds of every stage."""
    project = tmp_path_factory.mktemp("uninterrupted")
    write_params(project, _tiny)
    store = project / "store"
    seconds = {}
    for stage, (extra, _) in STAGES.items():
        if stage == "encode":
            _run(project, store, "pretrain", extra)
        seconds[stage] = _run(project, store, stage, extra)
    return project, seconds


@pytest.mark.parametrize("whole_group", [True, False], ids=["group killed", "parent killed"])
@pytest.mark.parametrize("stage", STAGES)
def test_a_killed_stage_resumes_to_the_same_result(stage: str, whole_group: bool, finished, tmp_path: Path):
    reference, seconds = finished
    extra, out = STAGES[stage]
    _copy_inputs(reference, tmp_path)
    shutil.rmtree(tmp_path / out, ignore_errors=True)
    store = tmp_path / "store"
    kills = 0
    for fraction in FRACTIONS:
        process = _start(tmp_path, store, stage, extra)
        try:
            process.wait(timeout=fraction * seconds[stage])
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL) if whole_group else process.kill()
            process.wait()
            kills += 1
        if (tmp_path / out).exists():  # finished, if only just: whatever is there has to be whole
            break
    assert kills, "the stage ended before it could be killed"
    if not (tmp_path / out).exists():
        _run(tmp_path, store, stage, extra)
    verify(tmp_path / out)
    assert digest(tmp_path / out) == digest(reference / out)
    assert not [p for p in (tmp_path / out).parent.iterdir() if p.name.startswith(".")], "leftovers beside the output"


@pytest.mark.slow
def test_a_hundred_kills_of_encode_end_in_one_and_the_same_store(finished, tmp_path: Path):
    """Each run is killed at a random moment, goes on from what the last left, and the store is emptied whenever it is whole."""
    reference, seconds = finished
    extra, out = STAGES["encode"]
    _copy_inputs(reference, tmp_path)
    shutil.rmtree(tmp_path / out)
    rng = np.random.default_rng(0)
    kills = wholes = 0
    while kills < 100:
        process = _start(tmp_path, tmp_path / "store", "encode", extra)
        try:
            process.wait(timeout=seconds["encode"] * rng.uniform(0.3, 1.1))
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()
            kills += 1
        if (tmp_path / out).exists():
            verify(tmp_path / out)
            assert digest(tmp_path / out) == digest(reference / out)
            shutil.rmtree(tmp_path / out)
            shutil.rmtree(tmp_path / "store")
            wholes += 1
    assert wholes > 3


@pytest.mark.slow
@pytest.mark.parametrize("algorithm", ["dreamerv3", "tdmpc2", "dinowm"])
def test_twenty_kills_of_train_end_in_the_same_models(algorithm: str, finished, tmp_path: Path):
    """Two seeds; killed twenty times, in turn while a checkpoint is being written and at any time, then left to end."""
    extra = ["--encoder", "autoencoder", "--algorithm", algorithm]
    out, series = Path("models") / TASK / "autoencoder" / algorithm, Path("dvclive") / TASK / "autoencoder" / algorithm
    whole, killed = tmp_path / "whole", tmp_path / "killed"
    for project in (whole, killed):
        project.mkdir()
        _copy_inputs(finished[0], project)
        write_params(project, _tiny_training)
    seconds = _run(whole, whole / "store", "train", extra)
    rng = np.random.default_rng(0)
    kills = torn = 0
    while kills < 20:
        process = _start(killed, killed / "store", "train", extra)
        if writing := kills % 2 == 0:
            for _ in range(rng.integers(1, 8)):
                _until(process, lambda: not _being_written(killed))
                _until(process, lambda: _being_written(killed))
        else:
            with suppress(subprocess.TimeoutExpired):
                process.wait(timeout=rng.uniform(0, seconds))
        if _kill(process):
            kills += 1
            torn += writing and _being_written(killed)
        _begin_again_where_whole(killed, whole, out)
    assert torn >= 3
    _run(killed, killed / "store", "train", extra)
    verify(killed / out)
    for seed in ("seed-0", "seed-1"):
        for file in ("model.pt", "learning.parquet"):
            assert (killed / out / seed / file).read_bytes() == (whole / out / seed / file).read_bytes()
        tables = sorted((whole / series / seed / "plots").rglob("*.tsv"))
        assert tables
        for table in tables:
            assert (killed / table.relative_to(whole)).read_bytes() == table.read_bytes()


@pytest.mark.slow
@pytest.mark.parametrize("algorithm", ["dreamerv3", "tdmpc2"])
def test_ten_kills_of_finetune_lose_no_step_and_count_none_twice(algorithm: str, finished, tmp_path: Path):
    """All three arms, learning under a policy that explores; the same evaluations, episodes and agents, byte for byte."""
    extra = ["--encoder", "autoencoder", "--algorithm", algorithm]
    out, whole, killed = Path("results/online/autoencoder") / TASK / algorithm, tmp_path / "whole", tmp_path / "killed"
    whole.mkdir()
    _copy_inputs(finished[0], whole)
    write_params(whole, _tiny_online)
    _run(whole, whole / "store", "train", extra)
    shutil.copytree(whole, killed)
    seconds = _run(whole, whole / "store", "finetune", extra)
    rng = np.random.default_rng(0)
    kills = 0
    while kills < 10:
        process = _start(killed, killed / "store", "finetune", extra)
        with suppress(subprocess.TimeoutExpired):
            process.wait(timeout=rng.uniform(0.2, 0.7) * seconds)
        kills += _kill(process)
        _begin_again_where_whole(killed, whole, out)
    _run(killed, killed / "store", "finetune", extra)
    assert digest(killed / out) == digest(whole / out)


def _kill(process: subprocess.Popen[bytes]) -> bool:
    """Kill a run with all its processes; False where it had ended, and well."""
    if process.poll() is not None:
        assert process.returncode == 0
        return False
    os.killpg(process.pid, signal.SIGKILL)
    process.wait()
    return True


def _begin_again_where_whole(killed: Path, whole: Path, out: Path) -> None:
    """An output that is there is the same as the uninterrupted run's; with its store it is then removed."""
    if (killed / out).exists():
        assert digest(killed / out) == digest(whole / out)
        shutil.rmtree(killed / out)
        shutil.rmtree(killed / "store")


def _being_written(project: Path) -> bool:
    return bool(glob(str(project / "store/work/train/*/*.pt.tmp")))


def _until(process: subprocess.Popen[bytes], holds: Callable[[], bool]) -> None:
    """Wait until something holds, or the process ended."""
    while process.poll() is None and not holds():
        time.sleep(0.0005)
