"""train as a stage: what it writes, for every seed, and what it refuses."""

from collections.abc import Callable
from pathlib import Path

import polars as pl
import pytest

from datasets.errors import DataError, UserError
from datasets.manifest import digest
from pipeline import encode, pretrain, train, training
from pipeline.params import load_params
from tests.synthetic import TASK, make_trajectories, write_frames, write_trajectories
from trainers.checkpoint import load_world_model

OUT = Path("models") / TASK
TINY = {
    "encode.batch": 8, "encode.chunk": 16, "encode.shard": 64,
    "train.updates": 25, "train.checkpoint_every": 10, "train.batch": 2, "train.length": 6,
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
