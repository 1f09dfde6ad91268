"""RMSNorm and SiLU inside a scan: a step at a time, with all that can be done for all steps at once left to the ends."""

import torch
from torch import Tensor

from trainers.worldmodel.layers import EPS
from trainers.worldmodel.scan_types import Normed, NormSlopes

_silu = torch.ops.aten.silu.out


def norm_silu(made: Normed, scale: Tensor, eps: Tensor, x: Tensor) -> Tensor:
    """Fill `made` of rows x [..., size], which may be its `unit`; returns its `out`. eps: [..., 1]."""
    mean = torch.add(eps, torch.linalg.vecdot(x, x).unsqueeze(-1), alpha=1 / x.shape[-1])
    torch.mul(x, torch.rsqrt(mean, out=made.rstd), out=made.unit)
    out: Tensor = _silu(made.unit * scale, out=made.out)
    return out


def norm_silu_back(made: Normed, slopes: NormSlopes) -> Tensor:
    """Fill what the norm's gradient passes on, and return it."""
    grad = slopes.given * slopes.slope
    mean = torch.linalg.vecdot(grad, made.unit).unsqueeze(-1)
    return torch.mul(grad.addcmul_(made.unit, mean, value=-1 / grad.shape[-1]), made.rstd, out=slopes.passed)


class StepNorm:
    """The norm of rows that come step by step."""

    def __init__(self, made: Normed, scale: Tensor) -> None:
        """
        Args:
            made: filled in by `forward`.
            scale: [..., size], as a step's rows broadcast against it.
        """
        self._scale, self._eps = scale, torch.full_like(made.rstd[0], EPS)
        self._steps = [Normed(*step) for step in zip(*(values.unbind() for values in made), strict=True)]

    def forward(self, t: int, x: Tensor) -> Tensor:
        """Step t: [..., size] -> the same."""
        return norm_silu(self._steps[t], self._scale, self._eps, x)


class StepNormBack:
    """The norm's gradients, step by step from the last to the first."""

    def __init__(self, made: Normed, slopes: NormSlopes) -> None:
        """
        Args:
            made: by the norm. slopes: whose `given` is there at a step before its `passed` is filled in.
        """
        steps = (zip(*(values.unbind() for values in own), strict=True) for own in (made, slopes))
        self._steps = [(Normed(*of_made), NormSlopes(*of_slopes)) for of_made, of_slopes in zip(*steps, strict=True)]

    def backward(self, t: int) -> Tensor:
        """Step t: `given` -> `passed`."""
        return norm_silu_back(*self._steps[t])
