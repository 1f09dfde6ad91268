"""A full disk ends a stage in one line, with no half-written output, and the same command goes on when there is room."""

import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from datasets.manifest import digest
from pipeline import pretrain
from tests.pipeline import test_collect as collecting
from tests.pipeline import test_render as rendering
from tests.synthetic import ROOT


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of 600 kB."""
    disk = tmp_path / "disk"
    disk.mkdir()
    mounted = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=600k", "tmpfs", str(disk)], capture_output=True)
    if mounted.returncode:
        pytest.skip("mounting a small file system needs root")
    yield disk
    subprocess.run(["umount", str(disk)], check=True)


def enlarge(disk: Path, size: str = "60m") -> None:
    subprocess.run(["mount", "-o", f"remount,size={size}", str(disk)], check=True)


def refused(done: subprocess.CompletedProcess[str]) -> None:
    assert done.returncode == 1
    assert "Traceback" not in done.stderr
    assert done.stderr.strip().splitlines()[-1].startswith("error: no space left on the disk while writing ")


def test_collect(small_disk: Path):
    many = {"random": 60, "medium": 1, "replay": 1, "expert": 1}

    def change(values):
        collecting.settings(1)(values)
        values["collect"] |= {"episodes": many, "validation": {**many, "random": 1}, "episode_steps": 200}

    collecting.write_params(small_disk, change)
    refused(collecting.collect(small_disk))
    assert not (small_disk / "data").exists()
    enlarge(small_disk)
    done = collecting.collect(small_disk)
    assert done.returncode == 0, done.stderr
    assert "resuming collect" in done.stderr
    assert (small_disk / "data" / "trajectories" / collecting.TASK / "manifest.json").is_file()


def test_render(small_disk: Path):
    rendering.project_in(small_disk)
    refused(rendering.render(small_disk, size=128, axes=["lighting"]))
    assert not (small_disk / "data" / "frames").exists()
    enlarge(small_disk)
    done = rendering.render(small_disk, size=128, axes=["lighting"])
    assert done.returncode == 0, done.stderr


UNASKED = """
import runpy
import pipeline.work

pipeline.work.require_space = lambda *_: None
runpy.run_module("pipeline.encode", run_name="__main__")
"""


@pytest.mark.parametrize("asked", [True, False], ids=["asked before", "filled by another meanwhile"])
def test_encode(small_disk: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, asked: bool):
    """There is no room for the 1.5 MB of frames: told before they are written or, where others took it since, while."""
    from tests.synthetic import TASK, enter_project, make_trajectories, write_params

    project = tmp_path / "project"
    project.mkdir()
    enter_project(project, monkeypatch, make_trajectories())
    write_params(project, lambda values: values["encode"].update(batch=8, chunk=16, shard=64))
    monkeypatch.setenv("ENCORE_STORE", str(small_disk / "store"))

    def encode() -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [sys.executable, *(["-m", "pipeline.encode"] if asked else ["-c", UNASKED]), "--encoder", "scratch", "--task", TASK],
            capture_output=True, text=True,
            env=os.environ | {"PYTHONPATH": str(ROOT)},
        )  # fmt: skip

    pretrain.main("scratch", TASK)
    refused(encode())
    assert not (project / "data" / "embeddings").exists()
    enlarge(small_disk)
    done = encode()
    assert done.returncode == 0, done.stderr
    found = digest(project / "data" / "embeddings" / TASK / "scratch")
    shutil.rmtree(project / "data" / "embeddings")
    monkeypatch.setenv("ENCORE_STORE", str(tmp_path / "roomy"))
    assert encode().returncode == 0
    assert digest(project / "data" / "embeddings" / TASK / "scratch") == found


def test_finetune_goes_on_with_the_episodes_it_has(small_disk: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """Replay grows until the disk is full; what was played before is still there, and the run ends as one with room does."""
    from pipeline import encode, train
    from tests.pipeline.test_finetune import _tiny
    from tests.synthetic import TASK, enter_project, make_trajectories, write_params
    from trainers.agent.episodes import load_episodes

    def change(values):
        _tiny(values)
        values["finetune"].update(arms=["from_nothing"], eval_looks="never", env_steps=800)

    project = tmp_path / "project"
    project.mkdir()
    enter_project(project, monkeypatch, make_trajectories())
    write_params(project, change)
    monkeypatch.setenv("ENCORE_STORE", str(tmp_path / "store"))
    pretrain.main("scratch", TASK)
    encode.main("scratch", TASK)
    train.main("scratch", TASK, "dreamerv3")
    out = Path("results/online/scratch") / TASK / "dreamerv3"
    store = small_disk / "store"

    def finetune(store: Path) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [sys.executable, "-m", "pipeline.finetune", "--encoder", "scratch", "--task", TASK, "--algorithm", "dreamerv3"],
            capture_output=True, text=True, check=False,
            env=os.environ | {"ENCORE_STORE": str(store), "PYTHONPATH": str(ROOT)},
        )  # fmt: skip

    enlarge(small_disk, "7m")  # of the 10 MB of all rounds
    refused(finetune(store))
    assert not out.exists()
    rounds = sorted(store.glob("work/finetune/*/*/episodes-*.npz"))
    assert rounds and all(len(load_episodes(file)) == 2 for file in rounds)
    enlarge(small_disk)
    done = finetune(store)
    assert done.returncode == 0 and "resuming finetune" in done.stderr, done.stderr
    whole = digest(out)
    shutil.rmtree(out)
    assert finetune(tmp_path / "store").returncode == 0
    assert digest(out) == whole
