"""Every encoder with a fixture reproduces the embeddings that its authors' own code gave, from a file in their own layout.

tests/oracles/NAME.json holds the rule that fills the checkpoint, NAME.npz the embeddings upstream's code computed from it.
Weights are made up; the code paths are not.
"""

from pathlib import Path

import numpy as np
import pytest
import torch

from pipeline.encoders import load_encoder
from tests.checkpoints import ORACLES, images, spec_of, write_checkpoint

SLOW = (  # over 100 million parameters
    "clip_rn50x64",
    "clip_vitl14",
    "dinov2_vitg14",
    "dinov2_vitl14",
    "dinov3_vitl16",
    "ijepa_vith14",
    "openclip_vith14",
    "vc1_vitl",
    "vjepa2_vitl",
)
# Its last group norm amplifies rounding: upstream's own float32 run is 1.5e-5 away from the same network in float64.
LOOSE = {"taskonomy_normal": 2e-5}
BOUND = 1e-5


def names() -> list[object]:
    found = sorted(path.stem for path in ORACLES.glob("*.json"))
    return [pytest.param(name, marks=pytest.mark.slow) if name in SLOW else name for name in found]


def relative(got: np.ndarray, expected: np.ndarray) -> float:
    return float(np.abs(got - expected).max() / np.abs(expected).max())


@pytest.mark.parametrize("name", names())
def test_reproduces_the_authors_embeddings(name: str, tmp_path: Path):
    torch.set_num_threads(1)
    encoder = load_encoder(name, weights=write_checkpoint(spec_of(name), tmp_path))
    frames = images()
    with np.load(ORACLES / f"{name}.npz") as expected:
        got = torch.cat([encoder.embed(frame[None]) for frame in frames]).numpy()
        assert got.shape == (4, encoder.dim)
        assert relative(got.reshape(expected["global"].shape), expected["global"]) < LOOSE.get(name, BOUND)
        if "patch" in expected and name != "taskonomy_normal":  # whose fixture holds another layer's
            tokens = torch.cat([encoder.tokens(frame[None]) for frame in frames]).flatten(1, 2).numpy()
            assert relative(tokens[:, expected["patch_idx"]], expected["patch"]) < BOUND


def test_taskonomys_tokens_are_its_vector_channels_last(tmp_path: Path):
    encoder = load_encoder("taskonomy_normal", weights=write_checkpoint(spec_of("taskonomy_normal"), tmp_path))
    frame = images()[1][None]
    tokens = encoder.tokens(frame)
    assert tokens.shape == (1, 16, 16, 8)
    torch.testing.assert_close(tokens.permute(0, 3, 1, 2).flatten(1), encoder.embed(frame))


def test_an_embedding_does_not_depend_on_the_rest_of_the_batch(tmp_path: Path):
    """R3M, VIP and LIV guess the scale of their input from the batch upstream.

    An almost black batch must not change anything here.
    """
    encoder = load_encoder("r3m_rn50", weights=write_checkpoint(spec_of("r3m_rn50"), tmp_path))
    dark, bright = np.ones((1, 64, 64, 3), np.uint8), np.full((1, 64, 64, 3), 255, np.uint8)
    together = encoder.embed(np.concatenate([dark, bright]))
    torch.testing.assert_close(together[:1], encoder.embed(dark), rtol=1e-4, atol=1e-5)
