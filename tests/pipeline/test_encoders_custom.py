"""Encoders of one's own: a cut, another pooling, any timm model, a Python class."""

import shutil
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file

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


@pytest.fixture(scope="module")
def vit(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder as transformers saves one: a small ViT with its pooler and its image processor."""
    from pipeline.encoders.torchvision_ops import import_torchvision

    import_torchvision()
    from transformers import ViTConfig, ViTImageProcessorPil, ViTModel

    torch.manual_seed(0)
    folder = tmp_path_factory.mktemp("vit")
    sizes = {"hidden_size": 32, "num_hidden_layers": 3, "num_attention_heads": 2, "intermediate_size": 64}
    ViTModel(ViTConfig(**sizes, image_size=32, patch_size=8)).save_pretrained(folder)
    ViTImageProcessorPil(size={"height": 32, "width": 32}).save_pretrained(folder)
    return folder


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


def test_a_transformers_model_runs_with_its_own_processor_and_pooler(vit: Path):
    from transformers import AutoImageProcessor, AutoModel

    encoder = load_custom("mine", "transformers/google/tiny", None, None, vit / "model.safetensors", "cpu")
    pixels = AutoImageProcessor.from_pretrained(vit, backend="pil")(images=[FRAME[0]], return_tensors="pt")["pixel_values"]
    with torch.no_grad():
        expected = AutoModel.from_pretrained(vit).eval()(pixel_values=pixels)
    torch.testing.assert_close(encoder.embed(FRAME), expected.pooler_output)
    torch.testing.assert_close(encoder.tokens(FRAME), expected.last_hidden_state[:, 1:].unflatten(1, (4, 4)))
    assert encoder.dim == 32 and "ViTImageProcessorPil" in encoder.preprocessing
    mean = load_custom("mine", "transformers/google/tiny", None, "mean", vit / "model.safetensors", "cpu")
    torch.testing.assert_close(mean.embed(FRAME), expected.last_hidden_state[:, 1:].mean(1))


def test_a_transformers_model_is_cut_after_a_block_and_keeps_its_last_norm(vit: Path):
    from transformers import AutoModel

    cut = load_custom("mine", "transformers/google/tiny", 2, "cls", vit / "model.safetensors", "cpu")
    whole = AutoModel.from_pretrained(vit).eval()
    with torch.no_grad():
        hidden = whole(pixel_values=cut.pixels(FRAME), output_hidden_states=True).hidden_states[2]
        torch.testing.assert_close(cut.embed(FRAME), whole.layernorm(hidden)[:, 0])


def test_without_a_trained_pooler_the_vector_is_the_class_token_never_a_random_projection(vit: Path, tmp_path: Path):
    from transformers import AutoModel

    shutil.copytree(vit, tmp_path / "bare")
    model = AutoModel.from_pretrained(vit, add_pooling_layer=False).eval()
    model.save_pretrained(tmp_path / "bare")
    encoder = load_custom("mine", "transformers/a/b", None, None, tmp_path / "bare" / "model.safetensors", "cpu")
    with torch.no_grad():
        expected = model(pixel_values=encoder.pixels(FRAME)).last_hidden_state[:, 0]
    torch.testing.assert_close(encoder.embed(FRAME), expected)


def test_the_vision_part_of_an_image_text_model_gives_its_projected_embedding(tmp_path: Path):
    from transformers import CLIPConfig, CLIPImageProcessorPil, CLIPModel

    size = {"hidden_size": 32, "intermediate_size": 64, "num_hidden_layers": 2, "num_attention_heads": 2}
    vision = {**size, "image_size": 32, "patch_size": 8}
    model = CLIPModel(CLIPConfig(text_config={**size, "vocab_size": 50}, vision_config=vision, projection_dim=16)).eval()
    model.save_pretrained(tmp_path)
    CLIPImageProcessorPil(size={"shortest_edge": 32}, crop_size={"height": 32, "width": 32}).save_pretrained(tmp_path)
    encoder = load_custom("mine", "transformers/a/b", None, None, tmp_path / "model.safetensors", "cpu")
    with torch.no_grad():
        features = model.get_image_features(pixel_values=encoder.pixels(FRAME))
    torch.testing.assert_close(encoder.embed(FRAME), getattr(features, "pooler_output", features))
    assert encoder.tokens(FRAME).shape == (1, 4, 4, 32)


def test_a_convolutional_transformers_model_has_a_grid(tmp_path: Path):
    from transformers import ConvNextImageProcessorPil, ResNetConfig, ResNetModel

    sizes = {"embedding_size": 8, "hidden_sizes": [8, 16], "depths": [1, 1], "layer_type": "basic"}
    model = ResNetModel(ResNetConfig(**sizes)).eval()
    model.save_pretrained(tmp_path)
    ConvNextImageProcessorPil(size={"shortest_edge": 384}).save_pretrained(tmp_path)
    encoder = load_custom("mine", "transformers/a/b", None, None, tmp_path / "model.safetensors", "cpu")
    tokens = encoder.tokens(FRAME)
    assert tokens.shape == (1, 48, 48, 16)
    torch.testing.assert_close(encoder.embed(FRAME), tokens.mean((1, 2)))


@pytest.mark.parametrize("problem", ["config", "name", "missing", "layer", "damaged"])
def test_what_a_transformers_folder_lacks_is_said_in_one_line(problem: str, vit: Path, tmp_path: Path):
    folder = tmp_path / "model"
    shutil.copytree(vit, folder)
    file, layer = folder / "model.safetensors", None
    if problem == "config":
        (folder / "preprocessor_config.json").unlink()
    elif problem == "name":
        file = file.rename(folder / "weights.safetensors")
    elif problem == "missing":
        held = load_file(file)
        save_file({key: value for key, value in held.items() if "intermediate" not in key}, file, metadata={"format": "pt"})
    elif problem == "layer":
        layer = 9
    else:
        file.write_bytes(file.read_bytes()[:500])
    with pytest.raises(UserError) as caught:
        load_custom("mine", "transformers/a/b", layer, None, file, "cpu")
    expected = {
        "config": "preprocessor_config.json is missing", "name": "has to be called", "missing": "is missing or of another shape",
        "layer": "expected 1 to 3", "damaged": "no vision model",
    }  # fmt: skip
    assert expected[problem] in str(caught.value) and "\n" not in str(caught.value)
