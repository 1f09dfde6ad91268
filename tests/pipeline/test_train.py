"""train as a stage: what it writes, for every seed, and what it refuses."""

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import polars as pl
import pytest
import torch

from datasets.errors import DataError, UserError
from datasets.manifest import digest
from pipeline import encode, pretrain, together, train, training
from pipeline.params import load_params
from tests.synthetic import ROOT, TASK, make_trajectories, write_frames, write_trajectories
from trainers.checkpoint import load_world_model

OUT = Path("models") / TASK
TINY = {
    "encode.batch": 8, "encode.chunk": 16, "encode.shard": 64,
    "train.updates": 25, "train.checkpoint_every": 10, "train.batch": 2, "train.length": 6,
    "train.tdmpc2.updates": 25, "train.tdmpc2.batch": 4,
    "train.tdmpc2.custom": {"encoder": 16, "encoder_layers": 2, "latent": 16, "mlp": 16, "q": 2, "channels": 4},
    "train.rssm": {"size": "custom", "deter": 16, "hidden": 16, "stoch": 4, "classes": 4, "blocks": 4, "units": 16},
}  # fmt: skip


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, params_file: Callable[..., Path]) -> Callable[..., Path]:
    """`project(changes)` is a folder with encoded `state` and `scratch`, params.yaml being TINY with these changes."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("ENCORE_STORE", str(tmp_path / "store"))
    data = make_trajectories()
    write_trajectories(tmp_path, data)
    write_frames(tmp_path, data)
    params_file(TINY)
    for encoder in ("state", "scratch"):
        pretrain.main(encoder, TASK)
        encode.main(encoder, TASK)

    def make(**changes) -> Path:
        params_file(TINY | {key.replace("__", "."): value for key, value in changes.items()})
        return tmp_path

    return make


@pytest.mark.parametrize("encoder", ["state", "scratch"])
def test_a_model_and_its_learning_curve(project, encoder: str):
    project()
    train.main(encoder, TASK, "dreamerv3")
    folder = OUT / encoder / "dreamerv3"
    meta = {"encoder": encoder, "task": TASK, "algorithm": "dreamerv3", "seed": 0}
    loaded = load_world_model(folder / "seed-0/model.pt", **meta)
    assert loaded.meta["embedding"]["encoder"] == encoder
    assert loaded.meta["updates"] == 25
    learning = pl.read_parquet(folder / "seed-0/learning.parquet")
    assert learning.columns == ["encoder", "task", "algorithm", "seed", "update", "metric", "value"]
    assert learning.select("encoder", "task", "algorithm", "seed").unique().rows() == [tuple(meta.values())]
    assert {"reward_loss", "prediction_loss"} <= set(learning["metric"])


def test_an_axis_weight_is_shared_by_its_looks(project):
    project(train__look_weights={"default": 3.0, "color": 1.0})
    settings = load_params("params.yaml").train
    looks = [{"axis": "default"}, {"axis": "color"}, {"axis": "color"}]
    assert training._weights(settings, looks) == [3.0, 0.5, 0.5]
    with pytest.raises(UserError, match="no weight of 'texture'"):
        training._weights(settings, [*looks, {"axis": "texture"}])
    project()
    assert training._weights(load_params("params.yaml").train, looks) is None


def test_seeds_are_trained_in_processes_to_what_each_is_alone(project):
    project(train__seeds=[0, 3], compute__workers=2)
    train.main("state", TASK, "dreamerv3")
    both = OUT / "state/dreamerv3"
    together = {seed: (both / f"seed-{seed}/model.pt").read_bytes() for seed in (0, 3)}
    assert together[0] != together[3]
    project(train__seeds=[3])
    train.main("state", TASK, "dreamerv3")
    assert (both / "seed-3/model.pt").read_bytes() == together[3]
    assert not (both / "seed-0").exists()


def test_training_twice_gives_the_same_bytes(project):
    project()
    train.main("scratch", TASK, "dreamerv3")
    first = digest(OUT / "scratch/dreamerv3")
    train.main("scratch", TASK, "dreamerv3")
    assert digest(OUT / "scratch/dreamerv3") == first


def test_what_is_missing_or_damaged_is_named(project):
    root = project()
    with pytest.raises(DataError, match=r"data/embeddings/.*/autoencoder is missing"):
        train.main("autoencoder", TASK, "dreamerv3")
    with pytest.raises(UserError, match="unknown algorithm 'dreamer'"):
        train.main("state", TASK, "dreamer")
    shard = next(p for p in (root / "data/embeddings" / TASK / "state/default.zarr").rglob("c/*/*") if p.is_file())
    content = bytearray(shard.read_bytes())
    content[40] ^= 1
    shard.write_bytes(content)
    with pytest.raises(DataError, match="corrupt"):
        train.main("state", TASK, "dreamerv3")
    assert not OUT.exists()


def test_a_window_longer_than_every_episode_is_refused(project):
    project(train__length=22)
    with pytest.raises(DataError, match="no window of 22 steps fits"):
        train.main("state", TASK, "dreamerv3")


def _weights_of(folder: Path, seed: int) -> dict[str, torch.Tensor]:
    return load_world_model(folder / f"seed-{seed}/model.pt").model.state_dict()


def _near(one: Path, other: Path, seed: int) -> None:
    """Equal up to the order of sums."""
    first, second = _weights_of(one, seed), _weights_of(other, seed)
    for name, value in first.items():
        torch.testing.assert_close(second[name], value, rtol=1e-3, atol=1e-5)


@pytest.mark.parametrize("algorithm", ["dreamerv3", "tdmpc2"])
def test_seeds_train_as_one_program_where_asked(project, tmp_path: Path, algorithm: str):
    project(train__seeds=[0, 3], compute__workers=2)
    train.main("state", TASK, algorithm)
    apart = (OUT / "state" / algorithm).rename(tmp_path / "apart")
    project(train__seeds=[0, 3], train__together=True)
    train.main("state", TASK, algorithm)
    for seed in (0, 3):
        _near(apart, OUT / "state" / algorithm, seed)
        learning = [pl.read_parquet(folder / f"seed-{seed}/learning.parquet") for folder in (apart, OUT / "state" / algorithm)]
        assert learning[0].drop("value").equals(learning[1].drop("value"))


def test_several_representations_train_as_one_program_that_dvc_then_finds(project, tmp_path: Path, capfd):
    project(train__seeds=[0, 1])
    for encoder in ("random", "autoencoder"):
        pretrain.main(encoder, TASK)
        encode.main(encoder, TASK)
    names = ("state", "random", "autoencoder", "scratch")
    for encoder in names:
        train.main(encoder, TASK, "dreamerv3")
    apart = OUT.rename(tmp_path / "apart")
    together.main(",".join(names), TASK, "dreamerv3")
    assert not OUT.exists()
    capfd.readouterr()
    for encoder in names:
        train.main(encoder, TASK, "dreamerv3")
        assert "updates" not in capfd.readouterr().err
        for seed in (0, 1):
            _near(apart / encoder / "dreamerv3", OUT / encoder / "dreamerv3", seed)


def test_representations_that_train_together_are_asked_for_by_name(project):
    project()
    with pytest.raises(UserError, match="name some"):
        together.main(" , ", TASK, "dreamerv3")
    with pytest.raises(DataError, match="vc1 is missing"):
        together.main("state,vc1", TASK, "dreamerv3")


def _shared(root: Path, processes: int, *options: str) -> subprocess.CompletedProcess[str]:
    start = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", str(processes), "-m"]
    command = [*start, "pipeline.train", "--encoder", "state", "--task", TASK, "--algorithm", "dreamerv3", *options]
    environment = os.environ | {"PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"}
    return subprocess.run(command, cwd=root, env=environment, capture_output=True, text=True, timeout=200)


def test_processes_share_every_batch_under_torchrun(project, tmp_path: Path):
    root = project()
    train.main("state", TASK, "dreamerv3")
    alone = (OUT / "state/dreamerv3").rename(tmp_path / "alone")
    done = _shared(root, 2)
    assert done.returncode == 0, done.stderr
    _near(alone, OUT / "state/dreamerv3", 0)
    done = _shared(root, 3)  # a batch of two windows
    assert done.returncode != 0
    assert "error: 3 processes cannot share a batch of 2 windows equally" in done.stderr
