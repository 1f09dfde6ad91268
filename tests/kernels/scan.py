"""The GPU's kernels, in Triton's interpreter where there is no GPU, against the same steps in torch's own operations."""

import pytest
import torch
from torch import Tensor

from trainers import kernels
from trainers.worldmodel import ModelConfig, scan_fused
from trainers.worldmodel.rssm import RSSM
from trainers.worldmodel.scan import _Scan
from trainers.worldmodel.scan_types import Given, ScanWeights

DEVICE = torch.device("cuda" if torch.cuda.is_available() else "cpu")
SIZES = {
    "a few rows": ModelConfig("vector", (5,), 2, deter=64, hidden=32, stoch=4, classes=16, blocks=2),
    "small latents, blocks of one tile": ModelConfig("vector", (5,), 2, deter=64, hidden=48, stoch=4, classes=8, blocks=4),
    "large latents": ModelConfig("vector", (5,), 2, deter=32, hidden=16, stoch=2, classes=32, blocks=1),
}
LENGTH = 2


def _weights(config: ModelConfig, lead: tuple[int, ...]) -> ScanWeights:
    torch.manual_seed(0)
    own = [w.detach() for w in RSSM(config, 5)._scan_weights()]
    return ScanWeights(*(w.expand(*lead, *w.shape) + 0.1 * torch.randn(*lead, *w.shape) for w in own))


def _given(config: ModelConfig, batch: int, lead: tuple[int, ...]) -> Given:
    draws = torch.Generator().manual_seed(1)
    flat = config.stoch * config.classes

    def normal(*shape: int) -> Tensor:
        return torch.randn(shape, generator=draws)

    keep = (torch.rand(LENGTH, *lead, batch, 1, generator=draws) > 0.2).float()
    noise = torch.rand(LENGTH, *lead, batch, config.stoch, config.classes, generator=draws).log().neg()
    action, embed = normal(LENGTH, *lead, batch, config.deter), normal(LENGTH, *lead, batch, config.hidden)
    return Given(action, embed, keep, noise, normal(*lead, batch, config.deter), normal(*lead, batch, flat))


def _run(given: Given, weights: ScanWeights) -> tuple[list[Tensor], list[Tensor]]:
    """What the scan returns, and the gradients of a random weighing of it by all that has one."""
    values = [v.to(DEVICE).requires_grad_(n not in (2, 3)) for n, v in enumerate((*given, *weights))]
    made = _Scan.apply(torch.float32, *values)[:3]
    draws = torch.Generator().manual_seed(2)
    total = torch.stack([(m * torch.randn(m.shape, generator=draws).to(DEVICE)).sum() for m in made]).sum()
    grads = torch.autograd.grad(total, [v for v in values if v.requires_grad])
    return [m.detach() for m in made], list(grads)


@pytest.mark.parametrize(("batch", "lead"), [(3, ()), (17, (2,))], ids=["one model", "two models, two tiles of rows"])
@pytest.mark.parametrize("sizes", SIZES)
def test_the_kernels_make_what_the_plain_steps_make(
    sizes: str, batch: int, lead: tuple[int, ...], monkeypatch: pytest.MonkeyPatch
):
    config = SIZES[sizes]
    given, weights = _given(config, batch, lead), _weights(config, lead)
    monkeypatch.setattr(kernels, "DEVICES", [])
    made, grads = _run(given, weights)
    monkeypatch.setattr(kernels, "DEVICES", ["cpu", "cuda"])
    monkeypatch.setattr(scan_fused, "_MOST_ROWS", 16)
    assert scan_fused.fits(given, weights)
    fused, fused_grads = _run(given, weights)
    assert torch.equal(fused[1], made[1])
    for ours, theirs in zip((fused[0], fused[2], *fused_grads), (made[0], made[2], *grads), strict=True):
        torch.testing.assert_close(ours, theirs, rtol=1e-4, atol=1e-5 * float(theirs.abs().max()))


@pytest.mark.parametrize("config", [ModelConfig("vector", (5,), 2, deter=24), ModelConfig("vector", (5,), 2, classes=6)])
def test_sizes_that_tiles_do_not_divide_are_left_to_the_plain_steps(config: ModelConfig, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(kernels, "DEVICES", ["cpu", "cuda"])
    assert not scan_fused.fits(_given(config, 3, ()), _weights(config, ()))


def test_a_cpu_takes_the_plain_steps():
    config = SIZES["a few rows"]
    assert not scan_fused.fits(_given(config, 3, ()), _weights(config, ()))
