"""Products of few rows with the same weight, many times over, as a recurrence makes them.

At 16 rows a matrix product spends half its time on rearranging the weight (512 x 1024, one thread of an EPYC: 53 against 88
GFLOP/s). Where oneDNN is there it is rearranged once, by the operators that torch.compile uses for frozen weights.
"""

from typing import Protocol, runtime_checkable

import torch
from torch import Tensor

_WORTH = 32  # products with one weight, from which on rearranging pays


@runtime_checkable
class Product(Protocol):
    def __call__(self, x: Tensor, plus: Tensor | None = None) -> Tensor:
        """x [..., rows, i] -> x times the transposed weight, plus a bias [..., o] or rows [..., rows, o]."""
        ...


def product(weight: Tensor, rows: int, times: int) -> Product:
    """How to multiply `rows` rows with a weight [o, i], `times` times, while it does not change; without gradients.

    A weight [M, o, i] is that of M models, each with rows of its own.
    """
    if weight.dim() == 3:
        return _batched(weight.mT)
    if times < _WORTH or not _can_pack(weight):
        turned = weight.t()
        return lambda x, plus=None: torch.mm(x, turned) if plus is None else torch.addmm(plus, x, turned)
    ops = torch.ops.mkldnn
    packed = ops._reorder_linear_weight(weight.contiguous(), rows)

    def run(x: Tensor, plus: Tensor | None = None) -> Tensor:
        if plus is None or plus.dim() == 1:
            made: Tensor = ops._linear_pointwise(x, packed, plus, "none", [], "")
        else:
            made = ops._linear_pointwise.binary(x, plus, packed, None, "add")
        return made

    return run


def _batched(weight: Tensor) -> Product:
    def run(x: Tensor, plus: Tensor | None = None) -> Tensor:
        if plus is None:
            return torch.bmm(x, weight)
        return torch.baddbmm(plus.unsqueeze(1) if plus.dim() == 2 else plus, x, weight)

    return run


def _can_pack(weight: Tensor) -> bool:
    there = torch.backends.mkldnn.is_available() and hasattr(torch.ops.mkldnn, "_reorder_linear_weight")
    return there and weight.device.type == "cpu" and weight.dtype == torch.float32
