"""RMSNorm and SiLU inside a scan: a step at a time, with all that can be done for all steps at once left to the ends."""

from typing import NamedTuple

import torch
from torch import Tensor

from trainers.worldmodel.layers import EPS, silu_backward

_silu = torch.ops.aten.silu.out


class Normed(NamedTuple):
    """What a norm made of rows [L, ..., size], all of it step by step.

    Attributes:
        unit: the rows over their root mean square. rstd: one over that, [L, ..., 1]. out: what came of them.
    """

    unit: Tensor
    rstd: Tensor
    out: Tensor


class StepNorm:
    """The norm of rows that come step by step.

    Attributes:
        made: filled in by `forward`.
    """

    def __init__(self, shape: tuple[int, ...], scale: Tensor) -> None:
        """
        Args:
            shape: [L, ..., size], of all steps.
            scale: [..., size], as a step's rows broadcast against it.
        """
        self._scale, self._size = scale, shape[-1]
        self.made = Normed(scale.new_empty(shape), scale.new_empty((*shape[:-1], 1)), scale.new_empty(shape))
        self._eps = torch.full_like(self.made.rstd[0], EPS)
        self._steps = list(zip(*(values.unbind() for values in self.made), strict=True))

    def forward(self, t: int, x: Tensor) -> Tensor:
        """Step t: [..., size] -> the same."""
        unit, rstd, out = self._steps[t]
        mean = torch.add(self._eps, torch.linalg.vecdot(x, x).unsqueeze(-1), alpha=1 / self._size)
        torch.mul(x, torch.rsqrt(mean, out=rstd), out=unit)
        made: Tensor = _silu(unit * self._scale, out=out)
        return made


class StepNormBack:
    """The norm's gradients, step by step from the last to the first.

    Attributes:
        given, passed: [L, ..., size], gradients by what it made (to be filled in) and by what it read.
    """

    def __init__(self, made: Normed, scale: Tensor) -> None:
        self._scale, self._unit, self._size = scale, made.unit, made.unit.shape[-1]
        self.given, self.passed = torch.empty_like(made.unit), torch.empty_like(made.unit)
        slope = silu_backward(scale.expand_as(made.unit), made.unit * scale)
        kept = (made.unit, made.rstd, slope, self.given, self.passed)
        self._steps = list(zip(*(values.unbind() for values in kept), strict=True))

    def backward(self, t: int) -> Tensor:
        """Step t: `given` -> `passed`."""
        unit, rstd, slope, given, passed = self._steps[t]
        grad = given * slope
        mean = torch.linalg.vecdot(grad, unit).unsqueeze(-1)
        return torch.mul(grad.addcmul_(unit, mean, value=-1 / self._size), rstd, out=passed)

    def scale_grad(self, rows: int) -> Tensor:
        """The gradient of the scale, after the last step: summed over time and over axis `rows`, counted from the end."""
        grad: Tensor = silu_backward(self.given, self._unit * self._scale)
        return (grad * self._unit).sum((0, rows))
