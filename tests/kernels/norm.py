"""The GPU's norm, in Triton's interpreter where there is no GPU, against the same in torch's own operations."""

import pytest
import torch
from torch import Tensor
from torch.func import functional_call, vmap

from trainers import kernels
from trainers.worldmodel.layers import NormSilu

DEVICE = torch.device("cuda" if torch.cuda.is_available() else "cpu")


@pytest.mark.parametrize("models", [0, 3], ids=["one model", "three models"])
@pytest.mark.parametrize("size", [5, 48, 512])
def test_it_makes_what_torch_makes(size: int, models: int, monkeypatch: pytest.MonkeyPatch):
    torch.manual_seed(0)
    lead = (models,) if models else ()
    norm, x = NormSilu(size).to(DEVICE), torch.randn(*lead, 2, 41, size, device=DEVICE)
    scale = 1 + 0.3 * torch.randn(*lead, size, device=DEVICE)

    def run() -> tuple[Tensor, ...]:
        values, scales = x.clone().requires_grad_(), scale.clone().requires_grad_()
        one = lambda own, rows: functional_call(norm, {"scale": own}, (rows,))  # noqa: E731
        made = (vmap(one) if models else one)(scales, values)
        return made.detach(), *torch.autograd.grad((made * torch.cos(x)).sum(), [values, scales])

    monkeypatch.setattr(kernels, "DEVICES", [])
    expected = run()
    monkeypatch.setattr(kernels, "DEVICES", ["cpu", "cuda"])
    for ours, theirs in zip(run(), expected, strict=True):
        torch.testing.assert_close(ours, theirs, rtol=1e-4, atol=1e-5)
