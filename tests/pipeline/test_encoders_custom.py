"""Encoders of one's own: a cut, another pooling, any timm model, a Python class."""

from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import save_file

from datasets.errors import UserError
from pipeline.encoders import load_encoder
from pipeline.encoders.custom import load_custom
from pipeline.encoders.torchvision_ops import create_timm
from tests.checkpoints import images, spec_of, write_checkpoint

FRAME = images()[1][None]


class MeanColour:
    """The ten lines of docs/encoders.md."""

    preprocessing = "x / 255, mean over the pixels"
    dim = 3

    def __init__(self, weights: Path | None, device: str) -> None:
        self.device = torch.device(device)

    def embed(self, frames):
        return torch.as_tensor(frames).to(self.device).float().div(255).mean((1, 2))


@pytest.fixture(scope="module")
def dino(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_checkpoint(spec_of("dino_vits16"), tmp_path_factory.mktemp("weights"))


def test_pooling_is_chosen_among_the_tokens(dino: Path):
    whole = load_encoder("dino_vits16", weights=dino)
    mean = load_custom("mine", "dino_vits16", None, "mean", dino, "cpu")
    assert (mean.name, mean.pooling, mean.layer) == ("mine", "mean", None)
    torch.testing.assert_close(mean.embed(FRAME), whole.tokens(FRAME).mean((1, 2)))
    torch.testing.assert_close(load_custom("mine", "dino_vits16", 12, "cls", dino, "cpu").embed(FRAME), whole.embed(FRAME))


def test_a_cut_runs_the_first_blocks_and_the_last_norm(dino: Path):
    cut = load_custom("mine", "dino_vits16", 6, None, dino, "cpu")
    whole = load_encoder("dino_vits16", weights=dino)
    vit = whole._network.vit
    vit.blocks = vit.blocks[:6]
    assert cut.layer == 6
    torch.testing.assert_close(cut.embed(FRAME), whole.embed(FRAME))


def test_a_residual_network_is_cut_after_a_stage(tmp_path: Path):
    file = write_checkpoint(spec_of("r3m_rn50"), tmp_path)
    cut = load_custom("mine", "r3m", 3, None, file, "cpu")
    assert cut.tokens(FRAME).shape == (1, 14, 14, 1024)
    assert cut.embed(FRAME).shape == (1, cut.dim) == (1, 1024)
    torch.testing.assert_close(cut.embed(FRAME), cut.tokens(FRAME).mean((1, 2)))


def test_any_timm_model_runs_with_the_preprocessing_its_configuration_states(tmp_path: Path):
    torch.manual_seed(0)
    body = create_timm("vit_tiny_patch16_224.augreg_in21k_ft_in1k", meta=False).eval()
    save_file(body.state_dict(), tmp_path / "model.safetensors")
    encoder = load_custom(
        "tiny", "timm/vit_tiny_patch16_224.augreg_in21k_ft_in1k", None, None, tmp_path / "model.safetensors", "cpu"
    )
    from PIL import Image
    from timm.data import create_transform, resolve_model_data_config

    pixels = create_transform(**resolve_model_data_config(body))(Image.fromarray(FRAME[0]))
    with torch.no_grad():
        expected = body.forward_head(body.forward_features(pixels[None]), pre_logits=True)
    torch.testing.assert_close(encoder.embed(FRAME), expected)
    assert "0.5" in encoder.preprocessing


def test_a_users_own_class_is_an_encoder():
    encoder = load_custom("colour", f"{__name__}:MeanColour", None, None, None, "cpu")
    assert encoder.name == "colour"
    np.testing.assert_allclose(encoder.embed(FRAME)[0], FRAME[0].mean((0, 1)) / 255, rtol=1e-5)


@pytest.mark.parametrize(
    ("base", "layer", "pooling", "expected"),
    [
        ("dino_vits16", 13, None, "expected 1 to 12"),
        ("dino_vits16", None, "attention", "expected one of cls, mean"),
        ("autoencoder", 1, None, "made here"),
        ("timm/vit_nothing", None, None, "no model"),
        ("nowhere.module:Class", None, None, "cannot be imported"),
        ("pathlib:Path", 1, None, "decides its own"),
    ],
)
def test_what_cannot_be_had_is_said_in_one_line(base: str, layer: int | None, pooling: str | None, expected: str, dino: Path):
    with pytest.raises(UserError) as caught:
        load_custom("mine", base, layer, pooling, dino, "cpu")
    assert expected in str(caught.value) and "\n" not in str(caught.value)
