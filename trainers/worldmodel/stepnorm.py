"""RMSNorm and SiLU inside a scan: a step at a time, with all that can be done for all steps at once left to the ends."""

import torch
from torch import Tensor

from trainers.worldmodel.layers import EPS, silu_backward

_silu = torch.ops.aten.silu.out


class StepNorm:
    """The norm of rows [L, B, ..., size] that come step by step, forwards, and of their gradients, backwards.

    Attributes:
        out: [L, B, ..., size], what `forward` made.
        given, passed: the same, gradients by `out` (to be filled in) and by what was normed.
    """

    given: Tensor
    passed: Tensor

    def __init__(self, shape: tuple[int, ...], scale: Tensor) -> None:
        self._scale, self._size = scale, shape[-1]
        self._unit, self._rstd, self.out = scale.new_empty(shape), scale.new_empty((*shape[:-1], 1)), scale.new_empty(shape)
        self._eps = torch.full_like(self._rstd[0], EPS)
        self._steps = list(zip(self._unit.unbind(), self._rstd.unbind(), self.out.unbind(), strict=True))

    def forward(self, t: int, x: Tensor) -> Tensor:
        """Step t: [B, ..., size] -> the same."""
        unit, rstd, out = self._steps[t]
        mean = torch.add(self._eps, torch.linalg.vecdot(x, x).unsqueeze(-1), alpha=1 / self._size)
        torch.mul(x, torch.rsqrt(mean, out=rstd), out=unit)
        made: Tensor = _silu(unit * self._scale, out=out)
        return made

    def begin_backward(self) -> None:
        """Make room for the gradients, and take SiLU's derivative at every step."""
        self.given, self.passed = torch.empty_like(self.out), torch.empty_like(self.out)
        slope = silu_backward(self._scale.expand_as(self._unit), self._unit * self._scale)
        kept = (self._unit, self._rstd, slope, self.given, self.passed)
        self._back = list(zip(*(values.unbind() for values in kept), strict=True))

    def backward(self, t: int) -> Tensor:
        """Step t: `given` -> `passed`, [B, ..., size]."""
        unit, rstd, slope, given, passed = self._back[t]
        grad = given * slope
        mean = torch.linalg.vecdot(grad, unit).unsqueeze(-1)
        return torch.mul(grad.addcmul_(unit, mean, value=-1 / self._size), rstd, out=passed)

    def scale_grad(self) -> Tensor:
        """The gradient of the scale, after the last step."""
        grad: Tensor = silu_backward(self.given, self._unit * self._scale)
        return (grad * self._unit).sum((0, 1))
