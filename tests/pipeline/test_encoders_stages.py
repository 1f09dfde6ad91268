"""A published or custom encoder goes through pretrain and encode like any other; its weights file is noted, never copied."""

import json
from pathlib import Path

import numpy as np
import pytest
import torch

from datasets.embeddings import load_embeddings
from datasets.errors import UserError
from datasets.frames import load_frames_index, read_frame_rows
from pipeline import encode, pretrain
from pipeline.encoders import load_encoder
from tests.checkpoints import ORACLES, images, spec_of, state_of, write_checkpoint
from tests.synthetic import TASK, enter_project, make_trajectories, write_params

DATA = make_trajectories()


@pytest.fixture
def weights(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A small project, and a checkpoint of theia_tiny beside it that its params name."""
    enter_project(tmp_path, monkeypatch, DATA)
    path = write_checkpoint(spec_of("theia_tiny"), tmp_path)

    def settle(values):
        values["encode"].update(batch=8, chunk=16, shard=64)
        values["weights"].update(theia_tiny=str(path), half=None)
        values["custom"] = {"half": {"base": "theia_tiny", "layer": 6, "pooling": "cls"}}

    write_params(tmp_path, settle)
    return path


@pytest.mark.parametrize("name", ["theia_tiny", "half"])
def test_a_published_encoder_runs_the_stages(name: str, weights: Path):
    pretrain.main(name, TASK)
    encode.main(name, TASK)
    source = json.loads((Path("data/weights") / TASK / name / "source.json").read_text())
    assert source["file"] == str(weights)
    assert source["origin"] == "local file"
    assert not list((Path("data/weights") / TASK / name).glob("*.safetensors"))
    stored = load_embeddings(Path("data/embeddings") / TASK / name, "texture-0.50-0")
    assert stored.attributes["encoder"] == name
    assert stored.attributes["layer"] == (6 if name == "half" else None)
    assert stored.values.shape == (len(DATA.reward), 192)
    if name == "theia_tiny":
        frames = Path("data/frames") / TASK
        look = load_frames_index(frames).of("texture-0.50-0")
        seen = np.stack(list(read_frame_rows(frames, look, DATA.episode_starts, stored.rows)))
        expected = load_encoder(name, weights).embed(seen).numpy()
        np.testing.assert_allclose(stored.values[stored.rows], expected, atol=2e-3 * np.abs(expected).max())


def test_without_weights_pretrain_says_what_to_fetch_and_leaves_nothing(weights: Path):
    with pytest.raises(UserError, match=r"r2d2_WASF_N16\.pt"):
        pretrain.main("r2d2", TASK)
    assert not (Path("data/weights") / TASK / "r2d2").exists()


def test_liv_is_clips_residual_network_under_its_own_prefix(tmp_path: Path):
    tower = state_of(spec_of("clip_rn50"))
    torch.save({"liv": {f"module.model.{key}": value for key, value in tower.items()}}, tmp_path / "model.pt")
    with np.load(ORACLES / "clip_rn50.npz") as expected:
        got = (
            load_encoder("liv_rn50", weights=tmp_path / "model.pt").embed(images()[0][None]).numpy()
        )  # 224 x 224: nothing to resample
        assert np.abs(got[0] - expected["global"][0]).max() < 2e-5 * np.abs(expected["global"]).max()


def test_vip_is_r3ms_residual_network_followed_by_its_linear_layer(tmp_path: Path):
    convnet = {key: value for key, value in state_of(spec_of("r3m_rn50")).items() if key.startswith("module.convnet.")}
    linear = torch.nn.Linear(2048, 1024)
    torch.save({"r3m": convnet}, tmp_path / "r3m.pt")
    fc = {f"module.convnet.fc.{key}": value for key, value in linear.state_dict().items()}
    torch.save({"vip": convnet | fc}, tmp_path / "vip.pt")
    frame = images()[1][None]
    with torch.no_grad():
        expected = linear(load_encoder("r3m", weights=tmp_path / "r3m.pt").embed(frame))
    torch.testing.assert_close(load_encoder("vip", weights=tmp_path / "vip.pt").embed(frame), expected)
