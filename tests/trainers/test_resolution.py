"""Frames at a PVR's resolution: the networks' shapes at 224 pixels, and one update of each algorithm that reads frames."""

import pytest
import torch

from trainers.algorithms import Sizes, algorithm
from trainers.dinowm.config import Settings as DinoWmSettings
from trainers.tdmpc2.config import Settings
from trainers.tdmpc2.config import Sizes as TdMpc2Sizes
from trainers.worldmodel import Batch, LossScales
from trainers.worldmodel.vision import FrameEncoder

SIDE = 224
TINY = Sizes(
    {"deter": 16, "hidden": 16, "stoch": 4, "classes": 4, "blocks": 4, "units": 16}, LossScales(), "linear", "embedding",
    Settings(TdMpc2Sizes(encoder=16, encoder_layers=2, latent=16, mlp=16, q=2, channels=4)), DinoWmSettings(depth=1, heads=2),
)  # fmt: skip


def test_the_cnn_ends_in_a_grid_of_16_pixels_a_cell():
    network = FrameEncoder(SIDE, SIDE)
    assert network.dim == 64 * 14 * 14
    assert network(torch.zeros(2, 3, SIDE, SIDE, 3)).shape == (2, 3, network.dim)


@pytest.mark.parametrize("name", ["dreamerv3", "tdmpc2", "dinowm"])
def test_an_update_moves_every_network_that_learns(name: str):
    torch.manual_seed(0)
    kind = algorithm(name)
    model = kind.build(kind.configure((SIDE, SIDE, 3), torch.uint8, 1, TINY))
    frames = torch.randint(256, (2, 8, SIDE, SIDE, 3), dtype=torch.uint8)
    model.standardise(frames.flatten(0, 1))
    flags = torch.zeros(2, 8, dtype=torch.bool)
    batch = Batch(frames, torch.rand(2, 8, 1), torch.rand(2, 8), flags, flags)
    noise, carried = model.draw(2, 8), ()
    for of, groups in model.groups().items():
        loss = model.minimised(of, batch, noise, carried)
        carried = loss.carried
        assert torch.isfinite(loss.value)
        loss.value.backward()
        learned = [p for group in groups for p in group.parameters]
        assert learned, of
        assert all(p.grad is not None and torch.isfinite(p.grad).all() for p in learned)
    filtered = model.eval().filter(frames.flatten(0, 1), torch.arange(16).view(2, 8), batch.action, batch.is_first)
    assert torch.isfinite(model.expected_reward(filtered)).all()
