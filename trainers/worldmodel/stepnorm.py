"""RMSNorm and SiLU inside a scan: a step at a time, with all that can be done for all steps at once left to the ends."""

import torch
from torch import Tensor

from trainers.worldmodel.layers import EPS
from trainers.worldmodel.scan_types import Normed, NormSlopes

_silu = torch.ops.aten.silu.out


class StepNorm:
    """The norm of rows that come step by step."""

    def __init__(self, made: Normed, scale: Tensor) -> None:
        """
        Args:
            made: filled in by `forward`.
            scale: [..., size], as a step's rows broadcast against it.
        """
        self._scale, self._size = scale, made.unit.shape[-1]
        self._eps = torch.full_like(made.rstd[0], EPS)
        self._steps = list(zip(*(values.unbind() for values in made), strict=True))

    def forward(self, t: int, x: Tensor) -> Tensor:
        """Step t: [..., size] -> the same."""
        unit, rstd, out = self._steps[t]
        mean = torch.add(self._eps, torch.linalg.vecdot(x, x).unsqueeze(-1), alpha=1 / self._size)
        torch.mul(x, torch.rsqrt(mean, out=rstd), out=unit)
        made: Tensor = _silu(unit * self._scale, out=out)
        return made


class StepNormBack:
    """The norm's gradients, step by step from the last to the first."""

    def __init__(self, made: Normed, slopes: NormSlopes) -> None:
        """
        Args:
            made: by the norm. slopes: whose `given` is there at a step before its `passed` is filled in.
        """
        self._size = made.unit.shape[-1]
        kept = (made.unit, made.rstd, slopes.slope, slopes.given, slopes.passed)
        self._steps = list(zip(*(values.unbind() for values in kept), strict=True))

    def backward(self, t: int) -> Tensor:
        """Step t: `given` -> `passed`."""
        unit, rstd, slope, given, passed = self._steps[t]
        grad = given * slope
        mean = torch.linalg.vecdot(grad, unit).unsqueeze(-1)
        return torch.mul(grad.addcmul_(unit, mean, value=-1 / self._size), rstd, out=passed)
