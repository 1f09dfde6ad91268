"""The registry: names, dimensions, frames of any size, and what happens to wrong weights."""

import sys
from pathlib import Path

import numpy as np
import pytest
import torch

from datasets.errors import UserError
from pipeline.encoders import canonical, list_encoders, load_encoder
from pipeline.encoders.checkpoint import save_weights
from pipeline.encoders.cnn import ConvEncoder, random_network

FRAMES = np.random.default_rng(0).integers(0, 256, (5, 64, 64, 3), dtype=np.uint8)


def test_aliases_resolve_to_canonical_names():
    assert canonical("random") == "random_cnn"
    assert load_encoder("random").name == "random_cnn"
    assert len({info.name for info in list_encoders()}) == len(list_encoders())


def test_embeds_uint8_frames_of_any_size_to_detached_float32():
    encoder = load_encoder("random")
    for frames in (FRAMES, torch.from_numpy(FRAMES), np.zeros((2, 100, 80, 3), np.uint8)):
        out = encoder.embed(frames)
        assert out.dtype == torch.float32 and out.shape == (len(frames), encoder.dim) and not out.requires_grad
        out.add_(1)  # an ordinary tensor, not an inference one


def test_frames_that_are_not_uint8_are_refused():
    with pytest.raises(ValueError, match="uint8"):
        load_encoder("random").embed(FRAMES.astype(np.float32))


def test_random_encoder_separates_different_frames_and_repeats_itself():
    first, second = load_encoder("random").embed(FRAMES), load_encoder("random").embed(FRAMES)
    assert torch.equal(first, second)
    assert torch.pdist(first).min() > 1e-3


def test_weights_round_trip(tmp_path: Path):
    network = ConvEncoder(12)
    save_weights(tmp_path / "w.pt", "autoencoder", {"dim": 12}, network.state_dict())
    encoder = load_encoder("autoencoder", weights=tmp_path / "w.pt")
    assert encoder.dim == 12
    expected = network(torch.from_numpy(FRAMES).permute(0, 3, 1, 2))
    torch.testing.assert_close(encoder.embed(FRAMES), expected)


@pytest.mark.parametrize("name", ["state", "scratch", "scratch_64"])
def test_names_that_are_no_frozen_encoder_say_so(name: str):
    with pytest.raises(UserError, match=name):
        load_encoder(name)


def test_autoencoder_without_weights_says_how_to_make_them():
    with pytest.raises(UserError, match=r"pipeline\.pretrain"):
        load_encoder("autoencoder")


def test_unknown_name_suggests_the_nearest():
    with pytest.raises(UserError, match="did you mean 'autoencoder'"):
        load_encoder("autoencodr")


def _wrong_files(folder: Path) -> dict[str, Path]:
    save_weights(folder / "other_name.pt", "random_cnn", {"dim": 8}, random_network(8, 0).state_dict())
    save_weights(folder / "other_size.pt", "autoencoder", {"dim": 8}, random_network(16, 0).state_dict())
    whole = (folder / "other_size.pt").read_bytes()
    (folder / "truncated.pt").write_bytes(whole[: len(whole) // 2])
    (folder / "page.pt").write_text("<!doctype html><title>Sign in</title>")
    torch.save({"some": torch.zeros(1)}, folder / "foreign.pt")
    torch.save({"evil": _Evil()}, folder / "code.pt")
    return {path.stem: path for path in folder.glob("*.pt")} | {"missing": folder / "nothing.pt"}


class _Evil:
    def __reduce__(self) -> tuple[object, tuple[str]]:
        return (sys.exit, ("executed",))


def test_wrong_weights_are_one_line_that_names_the_file_and_nothing_is_executed(tmp_path: Path):
    files = _wrong_files(tmp_path)
    assert len(files) == 7
    for path in files.values():
        with pytest.raises(UserError) as caught:
            load_encoder("autoencoder", weights=path)
        assert str(path) in str(caught.value) and "\n" not in str(caught.value)
