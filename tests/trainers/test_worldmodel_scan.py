"""The scan's own derivative, against finite differences and against autograd through the same steps in plain operations."""

import gc
import weakref

import pytest
import torch
from torch import Tensor, nn

from trainers.worldmodel import ModelConfig
from trainers.worldmodel.layers import NormSilu
from trainers.worldmodel.products import product
from trainers.worldmodel.rssm import RSSM, straight_through
from trainers.worldmodel.scan import scan

CONFIG = ModelConfig("vector", (5,), 2, deter=12, hidden=6, stoch=3, classes=4, blocks=3)


def _rssm(dtype: torch.dtype = torch.float64) -> RSSM:
    torch.manual_seed(0)
    model = RSSM(CONFIG, 5).to(dtype)
    for parameter in model.parameters():
        parameter.data += 0.1 * torch.randn_like(parameter)
    return model


def _inputs(length: int, batch: int = 2, dtype: torch.dtype = torch.float64) -> list[Tensor]:
    generator = torch.Generator().manual_seed(1)
    sizes = ((length, batch, 12), (length, batch, 6), (batch, 12), (batch, 12))
    action, embed, deter, stoch = (torch.randn(size, generator=generator, dtype=dtype) for size in sizes)
    keep = (torch.rand(length, batch, 1, generator=generator) > 0.2).to(dtype)
    noise = torch.rand(length, batch, 3, 4, generator=generator, dtype=dtype).log().neg()
    return [action.requires_grad_(), embed.requires_grad_(), keep, noise, deter.requires_grad_(), stoch.requires_grad_()]


def _plain(rssm: RSSM, inputs: list[Tensor]) -> tuple[Tensor, Tensor, Tensor]:
    """What `scan` computes, by autograd: `RSSM.observe_step` with its noise given."""
    deter, stoch = inputs[4:]
    made = []
    for act, emb, kept, eps in zip(*inputs[:4], strict=True):
        deter = rssm._core(deter * kept, stoch * kept, act)
        prob = rssm._probs(rssm.post_out(rssm.post_norm(rssm.post_deter(deter) + emb)))
        latent = straight_through(prob, eps)
        stoch = latent.flatten(1)
        made.append((deter, latent, prob))
    deters, latents, probs = (torch.stack(values) for values in zip(*made, strict=True))
    return deters, latents, probs


def _gradients(rssm: RSSM, inputs: list[Tensor], made: tuple[Tensor, ...]) -> dict[str, Tensor]:
    generator = torch.Generator().manual_seed(2)
    total = sum((values * torch.randn(values.shape, generator=generator).to(values)).sum() for values in made)
    wanted = {name: value for name, value in rssm.named_parameters() if not name.startswith(("action", "core_action", "prior"))}
    wanted = {name: value for name, value in wanted.items() if "embed" not in name}
    wanted |= {name: inputs[i] for i, name in ((0, "action"), (1, "embed"), (4, "deter"), (5, "stoch"))}
    return dict(zip(wanted, torch.autograd.grad(total, list(wanted.values())), strict=True))


def test_one_step_agrees_with_finite_differences():
    """A sample's gradient is not its derivative, so only one step's state and probabilities can be checked so."""
    rssm = _rssm()
    inputs, weights = _inputs(1), [w.detach().requires_grad_() for w in rssm._scan_weights()]
    kind = type(rssm._scan_weights())

    def smooth(*given: Tensor) -> tuple[Tensor, Tensor]:
        action, embed, deter, stoch, *rest = given
        deters, _, probs = scan(action, embed, *inputs[2:4], deter, stoch, kind(*rest))
        return deters, probs

    assert torch.autograd.gradcheck(smooth, (*inputs[:2], *inputs[4:], *weights))


@pytest.mark.parametrize("length", [1, 7, 40], ids=["one step", "a window", "a window with packed weights"])
def test_the_scan_and_its_gradients_are_those_of_the_plain_steps(length: int):
    dtype, tolerance = (torch.float32, 1e-4) if length == 40 else (torch.float64, 1e-12)
    rssm, inputs = _rssm(dtype), _inputs(length, dtype=dtype)
    made, expected = scan(*inputs, rssm._scan_weights()), _plain(rssm, inputs)
    assert torch.equal(made[1], expected[1].detach().round())
    for ours, theirs in zip(made, expected, strict=True):
        torch.testing.assert_close(ours, theirs, rtol=tolerance, atol=tolerance)
    ours, theirs = _gradients(rssm, inputs, made), _gradients(rssm, inputs, expected)
    for name, value in ours.items():
        torch.testing.assert_close(value, theirs[name], rtol=tolerance, atol=tolerance * 10, msg=lambda m, n=name: f"{n}: {m}")


def test_the_scan_repeats_itself_bit_for_bit():
    rssm, inputs = _rssm(torch.float32), _inputs(40, dtype=torch.float32)
    first, second = ({**_gradients(rssm, inputs, scan(*inputs, rssm._scan_weights()))} for _ in range(2))
    assert all(torch.equal(first[name], second[name]) for name in first)


def test_a_scan_that_is_dropped_frees_what_it_kept():
    rssm, inputs = _rssm(), _inputs(3)
    made = scan(*inputs, rssm._scan_weights())
    node = weakref.ref(made[0].grad_fn)
    gc.disable()
    try:
        del made
        assert node() is None  # nothing hung on a cycle
    finally:
        gc.enable()


def test_the_fused_norm_agrees_with_torch_and_with_finite_differences():
    torch.manual_seed(0)
    norm, x = NormSilu(6).double(), torch.randn(2, 3, 6, dtype=torch.float64, requires_grad=True)
    norm.scale.data += 0.3 * torch.randn(6, dtype=torch.float64)
    torch.testing.assert_close(norm(x), nn.functional.silu(nn.functional.rms_norm(x, (6,), norm.scale, 1e-4)))
    assert torch.autograd.gradcheck(lambda x, _: norm(x), (x, norm.scale))


@pytest.mark.parametrize("times", [1, 1000], ids=["plain", "packed"])
def test_products_follow_their_definition(times: int):
    weight, x = torch.randn(24, 2 * 16), torch.randn(5, 2, 32)[:, 0]
    with torch.no_grad():
        multiply, of_transposed = product(weight, 5, times), product(weight.t(), 5, times)
        torch.testing.assert_close(multiply(x), x @ weight.T)
        for plus in (torch.randn(24), torch.randn(5, 24)):
            torch.testing.assert_close(multiply(x, plus), x @ weight.T + plus)
        y = torch.randn(5, 24)
        torch.testing.assert_close(of_transposed(y), y @ weight)
