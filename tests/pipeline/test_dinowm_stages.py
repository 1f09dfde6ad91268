"""DINO-WM through train and evaluate: on tokens where they are stored, on vectors and on raw frames."""

from pathlib import Path
from typing import Any

import polars as pl
import pytest

from pipeline import encode, evaluate, pretrain, train
from tests.synthetic import TASK, enter_project, make_trajectories, write_params
from trainers.checkpoint import load_world_model

SMALL = {"action_width": 4, "depth": 1, "heads": 2, "head_width": 8, "mlp": 32, "updates": 12, "batch": 4, "length": 8}


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    enter_project(tmp_path, monkeypatch, make_trajectories())
    return tmp_path


def _settings(root: Path, **tokens: Any) -> None:
    def change(values: dict[str, Any]) -> None:
        values["encode"].update(batch=8, chunk=16, shard=64)
        values["encode"]["tokens"].update(chunk=4, shard=32, **tokens)
        values["train"]["dinowm"].update(SMALL)
        values["train"].update(checkpoint_every=5)
        values["evaluate"].update(horizon=2, long_starts=1, latents=10)
        values["pretrain"]["random_vit"].update(width=16, depth=1, heads=2)

    write_params(root, change)


@pytest.mark.parametrize(
    ("encoder", "tokens", "shape"),
    [
        ("random_vit", {"spatial": True, "grid": 2, "dtype": "int8"}, (2, 2, 16)),
        ("random_vit", {}, (16,)),
        ("state", {"spatial": True}, (5,)),
        ("scratch", {}, (64, 64, 3)),
    ],
    ids=["tokens", "its vector", "state", "frames"],
)
def test_it_is_trained_and_evaluated(project: Path, encoder: str, tokens: dict[str, Any], shape: tuple[int, ...], capsys):
    _settings(project, **tokens)
    pretrain.main(encoder, TASK)
    encode.main(encoder, TASK)
    train.main(encoder, TASK, "dinowm")
    if shape == (16,):
        assert "holds no tokens: its vectors are read as one token each" in capsys.readouterr().err
    model = load_world_model(Path("models") / TASK / encoder / "dinowm/seed-0/model.pt", algorithm="dinowm").model
    assert model.config.observation_shape == shape
    evaluate.main(encoder, TASK, "dinowm")
    table = pl.read_parquet(Path("results/parts") / encoder / TASK / "dinowm/reward_error.parquet")
    assert table["algorithm"].unique().to_list() == ["dinowm"]
    assert table["reward_pred"].is_finite().all()
    assert set(range(3)) <= set(table["horizon"])


def test_tokens_that_do_not_fit_in_memory_are_read_where_they_lie(project: Path, monkeypatch, capsys):
    from trainers import feed

    _settings(project, spatial=True, grid=2, dtype="int8")
    pretrain.main("random_vit", TASK)
    encode.main("random_vit", TASK)
    weights = []
    for share in (0.6, 0.0):
        monkeypatch.setattr(feed, "_SHARE", share)
        train.main("random_vit", TASK, "dinowm")
        model = load_world_model(Path("models") / TASK / "random_vit/dinowm/seed-0/model.pt").model
        weights.append(model.reward_head[-1].weight)
        monkeypatch.setenv("ENCORE_STORE", str(project / "another"))
    assert "mapped and read ahead" in capsys.readouterr().err
    assert (weights[0] - weights[1]).abs().max() < 1e-3  # in memory they are float16, mapped float32
