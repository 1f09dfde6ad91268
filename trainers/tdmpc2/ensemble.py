"""Several equal MLPs as one batched program: a member is an index of the first axis of every parameter."""

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn

from trainers.tdmpc2.layers import INIT_STD, mish


class _Linear(nn.Module):
    """[Q, n, inputs] -> [Q, n, outputs]."""

    def __init__(self, members: int, inputs: int, outputs: int, zero: bool = False) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.zeros(members, inputs, outputs))
        self.bias = nn.Parameter(torch.zeros(members, 1, outputs))
        if not zero:
            nn.init.trunc_normal_(self.weight, std=INIT_STD)

    def forward(self, x: Tensor, of: Tensor | None = None) -> Tensor:
        weight, bias = (self.weight, self.bias) if of is None else (self.weight[of], self.bias[of])
        return torch.baddbmm(bias, x, weight)


class _NormMish(nn.Module):
    """[Q, n, size] -> [Q, n, size]."""

    def __init__(self, members: int, size: int) -> None:
        super().__init__()
        self.scale, self.shift = (nn.Parameter(make(members, 1, size)) for make in (torch.ones, torch.zeros))

    def forward(self, x: Tensor, of: Tensor | None = None) -> Tensor:
        return mish(x, *((self.scale, self.shift) if of is None else (self.scale[of], self.shift[of])))


class Ensemble(nn.Module):
    """Q times `layers.mlp` with two hidden layers and zero weights at the end, [..., inputs] -> [Q, ..., outputs].

    In training each member drops units of its own after its first linear map (upstream: vmap with `randomness="different"`):
    these are multiplied by `kept`, [Q, ..., units].
    """

    def __init__(self, members: int, inputs: int, units: int, outputs: int) -> None:
        super().__init__()
        self.members = members
        self.first, self.first_norm = _Linear(members, inputs, units), _NormMish(members, units)
        self.second, self.second_norm = _Linear(members, units, units), _NormMish(members, units)
        self.last = _Linear(members, units, outputs, zero=True)

    def forward(
        self, x: Float[Tensor, "*n inputs"], kept: Float[Tensor, "Q *n units"] | None = None
    ) -> Float[Tensor, "Q *n outputs"]:
        shared = x.flatten(0, -2).expand(self.members, -1, -1)  # (Q, n, inputs)
        hidden = self.first(shared)
        if kept is not None:
            hidden = hidden * kept.flatten(1, -2)
        out: Tensor = self.last(self.second_norm(self.second(self.first_norm(hidden))))
        return out.unflatten(1, x.shape[:-1])

    def some(self, x: Float[Tensor, "*n inputs"], of: Int[Tensor, " members"]) -> Float[Tensor, "members *n outputs"]:
        """What the members `of` say, int64 [members]; the others are not evaluated."""
        hidden = self.first_norm(self.first(x.flatten(0, -2).expand(len(of), -1, -1), of), of)
        out: Tensor = self.last(self.second_norm(self.second(hidden, of), of), of)
        return out.unflatten(1, x.shape[:-1])
