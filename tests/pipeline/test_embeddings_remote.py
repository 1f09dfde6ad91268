"""The store's entries shared through a local S3 and a folder: each sent once, verified when they come back, used by encode."""

import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from moto.server import ThreadedMotoServer

from datasets.manifest import digest
from pipeline import encode, pretrain
from tests.datasets.damage import flip_byte
from tests.synthetic import ROOT, TASK, enter_project, make_trajectories, write_params

DATA = make_trajectories()
OUT = Path("data/embeddings") / TASK / "random"


@pytest.fixture
def bucket(monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """A bucket of an S3 that runs here."""
    import boto3

    server = ThreadedMotoServer(port=0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    for key, value in {
        "AWS_ENDPOINT_URL": f"http://{host}:{port}", "AWS_ACCESS_KEY_ID": "key", "AWS_SECRET_ACCESS_KEY": "secret",
        "AWS_DEFAULT_REGION": "us-east-1",
    }.items():  # fmt: skip
        monkeypatch.setenv(key, value)
    boto3.client("s3").create_bucket(Bucket="study")
    yield "s3://study/encore"
    server.stop()


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    enter_project(tmp_path, monkeypatch, DATA)
    write_params(tmp_path, lambda v: v["encode"].update(batch=8, chunk=16, shard=64))
    pretrain.main("random", TASK)
    encode.main("random", TASK)
    return tmp_path


def _run(*arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "pipeline.embeddings", *arguments], env=os.environ | {"PYTHONPATH": str(ROOT)},
        capture_output=True, text=True,
    )  # fmt: skip


def test_entries_go_through_s3_once_and_are_used(bucket: str, project: Path, capsys):
    made = digest(OUT)
    done = _run("push", bucket)
    assert done.returncode == 0 and " 0.1 MB sent" in done.stderr, done.stderr
    assert " 0.0 MB sent" in _run("push", bucket).stderr
    shutil.rmtree(project / "store")
    shutil.rmtree(OUT)
    done = _run("pull", bucket)
    assert done.returncode == 0 and " 0.1 MB brought" in done.stderr, done.stderr
    assert " 0.0 MB brought" in _run("pull", bucket).stderr
    capsys.readouterr()
    encode.main("random", TASK)
    assert "0 rows in 0 shards" in capsys.readouterr().err
    assert digest(OUT) == made


def test_any_zarr_reader_reads_an_entry_where_it_lies(bucket: str, project: Path):
    import fsspec
    import numpy as np
    import zarr

    _run("push", bucket)
    entry = next(path.name for path in (project / "store" / "embeddings").iterdir() if path.is_dir())
    here = zarr.open_group(project / "store" / "embeddings" / entry / "values.zarr", mode="r")["embedding"][:]
    there = zarr.open_group(f"{bucket}/{entry}/values.zarr", mode="r")["embedding"][:]
    np.testing.assert_array_equal(here, there)
    with fsspec.open(f"{bucket}/{entry}/identity.json") as file:
        assert b"frames_digest" in file.read()


def test_a_shard_that_was_altered_there_is_refused_and_not_kept(project: Path):
    url = f"file://{project / 'share'}"
    assert _run("push", url).returncode == 0
    shard = next((project / "share").glob("*/values.zarr/embedding/c/0/0"))
    flip_byte(shard)
    shutil.rmtree(project / "store")
    done = _run("pull", url)
    assert done.returncode == 1 and "shard 0 is not what was written" in done.stderr and "Traceback" not in done.stderr
    assert not list((project / "store").glob(f"embeddings/{shard.parents[4].name}/values.zarr/embedding/c/0/0"))


@pytest.mark.parametrize("url", ["nothing://bucket", "s3://study/encore"])
def test_an_address_that_is_none_is_one_line(url: str, project: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:9")
    monkeypatch.setenv("AWS_MAX_ATTEMPTS", "1")
    done = _run("pull", url)
    assert done.returncode == 1 and "Traceback" not in done.stderr
    assert url in done.stderr.splitlines()[-1]
