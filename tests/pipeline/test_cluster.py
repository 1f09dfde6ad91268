"""Encoding and rendering over a dask cluster of real processes: the same bytes, whichever process dies on the way."""

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from datasets.manifest import digest
from pipeline import encode, pretrain
from tests.synthetic import ROOT, TASK, enter_project, make_trajectories, write_params

pytestmark = pytest.mark.xdist_group("cluster")
DATA = make_trajectories(episodes=30, length=41, validation=4)
OUT = Path("data/embeddings") / TASK / "random"


class Cluster:
    """A scheduler and two workers, each a process of its own, over loopback."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.file = folder, folder / "scheduler.json"
        self.file.unlink(missing_ok=True)
        options = ["--port", "0", "--no-dashboard", "--scheduler-file", str(self.file)]
        self.scheduler = self._start("dask_scheduler", *options)
        while not self.file.exists():
            time.sleep(0.05)
        self.address = json.loads(self.file.read_text())["address"]
        self.workers = [self._worker() for _ in range(2)]

    def _worker(self) -> subprocess.Popen[bytes]:
        options = [
            "--nthreads",
            "1",
            "--no-nanny",
            "--no-dashboard",
            "--death-timeout",
            "20",
            "--local-directory",
            str(self.folder),
        ]
        return self._start("dask_worker", self.address, *options)

    def _start(self, module: str, *options: str) -> subprocess.Popen[bytes]:
        command = [sys.executable, "-m", f"distributed.cli.{module}", *options]
        return subprocess.Popen(
            command, cwd=self.folder, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, start_new_session=True
        )

    def stop(self) -> None:
        for process in (*self.workers, self.scheduler):
            if process.poll() is None:
                os.killpg(process.pid, signal.SIGKILL)
            process.wait()


@pytest.fixture
def cluster(tmp_path: Path) -> Iterator[Cluster]:
    made = Cluster(tmp_path)
    yield made
    made.stop()


def _settings(scheduler: str | None):
    def change(values):
        values["encode"].update(batch=8, chunk=16, shard=16)
        values["compute"].update(scheduler=scheduler)

    return change


@pytest.fixture
def alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """What one process makes; after it the project is as it was before, with an empty store."""
    enter_project(tmp_path, monkeypatch, DATA)
    write_params(tmp_path, _settings(None))
    pretrain.main("random", TASK)
    encode.main("random", TASK)
    made = digest(OUT)
    shutil.rmtree(OUT)
    shutil.rmtree(tmp_path / "store")
    return made


def _start(project: Path, address: str) -> subprocess.Popen[str]:
    write_params(project, _settings(address))
    return subprocess.Popen(
        [sys.executable, "-m", "pipeline.encode", "--encoder", "random", "--task", TASK], cwd=project,
        env=os.environ | {"PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"}, stderr=subprocess.PIPE, text=True,
    )  # fmt: skip


def _until_some(project: Path, count: int) -> None:
    """Wait until the store holds `count` shards."""
    for _ in range(600):
        if len(list((project / "store").glob("embeddings/*/shards/*.json"))) >= count:
            return
        time.sleep(0.05)
    raise AssertionError("the cluster did not begin")


def test_two_workers_give_the_bytes_of_one_process(alone: str, cluster: Cluster, tmp_path: Path):
    process = _start(tmp_path, cluster.address)
    _, said = process.communicate(timeout=120)
    assert process.returncode == 0, said
    assert "dask: 2 workers" in said
    assert digest(OUT) == alone


def test_a_worker_that_dies_changes_nothing(alone: str, cluster: Cluster, tmp_path: Path):
    process = _start(tmp_path, cluster.address)
    _until_some(tmp_path, 5)
    os.killpg(cluster.workers[0].pid, signal.SIGKILL)
    _, said = process.communicate(timeout=120)
    assert process.returncode == 0, said
    assert digest(OUT) == alone


def test_after_the_scheduler_dies_the_same_command_goes_on(alone: str, cluster: Cluster, tmp_path: Path):
    process = _start(tmp_path, cluster.address)
    _until_some(tmp_path, 5)
    os.killpg(cluster.scheduler.pid, signal.SIGKILL)
    _, said = process.communicate(timeout=120)
    assert process.returncode == 1 and "Traceback" not in said, said
    assert said.strip().splitlines()[-1].startswith("error: ")
    assert not OUT.exists()
    cluster.stop()
    again = Cluster(tmp_path)
    try:
        process = _start(tmp_path, again.address)
        _, said = process.communicate(timeout=120)
    finally:
        again.stop()
    assert process.returncode == 0, said
    assert digest(OUT) == alone


def test_a_scheduler_that_does_not_answer_is_one_line(alone: str, tmp_path: Path):
    process = _start(tmp_path, "tcp://127.0.0.1:9")
    _, said = process.communicate(timeout=120)
    assert process.returncode == 1 and "Traceback" not in said
    assert "no dask scheduler answers at tcp://127.0.0.1:9" in said.splitlines()[-1]


def test_a_local_cluster_renders_what_processes_render(tmp_path: Path):
    from tests.pipeline import test_render as rendering

    made = []
    for scheduler in (None, "local"):
        project = tmp_path / str(scheduler)
        project.mkdir()
        rendering.project_in(project)

        def change(values, scheduler=scheduler):
            values["tasks"] = [rendering.TASK]
            values["compute"].update(workers=2, scheduler=scheduler)
            values["render"].update(size=32, axes=["camera"], severities=[1.0], episodes_per_shard=2)

        write_params(project, change)
        done = rendering.run("pipeline.render", project)
        assert done.returncode == 0, done.stderr
        assert ("dask: " in done.stderr) == (scheduler == "local")
        made.append(digest(project / "data" / "frames" / rendering.TASK))
    assert made[0] == made[1]
