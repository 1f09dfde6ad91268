"""Ridge regression in closed form (Hoerl and Kennard 1970), with a penalty of its own for every target channel.

All is computed from sums over rows, so memory does not grow with their number and the penalties cost one decomposition.
"""

from dataclasses import dataclass
from typing import NamedTuple

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from datasets.errors import DataError
from trainers.worldmodel.observation import standardisation

PENALTIES = tuple(10.0**k for k in range(-3, 6))  # of the squared coefficients of standardised inputs, beside summed errors
_FOLDS = 5  # one of so many groups chooses the penalties
_CHUNK = 4096  # rows summed at once


@dataclass(frozen=True)
class Ridge:
    """A fitted linear map.

    Attributes:
        mean, scale: float32 [D], what inputs are standardised with.
        weight, intercept: float32 [D, K] and [K].
        penalty: float64 [K], the chosen ones.
    """

    mean: Tensor
    scale: Tensor
    weight: Tensor
    intercept: Tensor
    penalty: Tensor

    def predict(self, x: Float[Tensor, "n D"]) -> Float[Tensor, "n K"]:
        """Inputs [n, D] -> float32 [n, K]."""
        return (x.float() - self.mean) / self.scale @ self.weight + self.intercept


class _Sums(NamedTuple):
    """Over rows of standardised inputs z and targets y: count, sums, products."""

    n: Tensor
    z: Tensor
    y: Tensor
    zz: Tensor
    zy: Tensor
    yy: Tensor

    def plus(self, other: "_Sums") -> "_Sums":
        return _Sums(*(a + b for a, b in zip(self, other, strict=True)))


def fit_ridge(x: Float[Tensor, "n D"], y: Float[Tensor, "n K"], group: Int[Tensor, " n"]) -> Ridge:
    """Fit y to x; penalties are chosen on every fifth group, then all rows are used.

    Inputs are standardised as the world models do it (`observation.standardisation`).

    Args:
        x: inputs. y: targets, of a similar scale each.
        group: int64, rows that must not be split between fitting and choosing: their episode.

    Raises:
        DataError: an input is not finite.
    """
    if not torch.isfinite(x).all():
        raise DataError("what a probe is to read is not finite; train or encode again")
    mean, scale = standardisation(x)
    held = held_out(group)
    own, other = (_sums(x[part], y[part], mean, scale) for part in (~held, held))
    best = _choose(own, other)
    weight, intercept = _solve(own.plus(other), best[None])
    return Ridge(mean.float(), scale.float(), weight[0].float(), intercept[0].float(), best)


def held_out(group: Int[Tensor, " n"]) -> Bool[Tensor, " n"]:
    """bool [n]: every fifth group, of fewer the last one; of a single one its last fifth of rows."""
    names, number = torch.unique(group, return_inverse=True)
    if len(names) == 1:
        return torch.arange(len(group), device=group.device) >= len(group) - max(len(group) // _FOLDS, 1)
    return number % _FOLDS == min(_FOLDS, len(names)) - 1


def _sums(x: Tensor, y: Tensor, mean: Tensor, scale: Tensor) -> _Sums:
    d, k = x.shape[1], y.shape[1]
    total = _Sums(*(torch.zeros(shape, dtype=torch.float64, device=x.device) for shape in ((), (d,), (k,), (d, d), (d, k), (k,))))
    for part, target in zip(x.split(_CHUNK), y.split(_CHUNK), strict=True):
        z, t = (part.double() - mean) / scale, target.double()
        count = torch.tensor(float(len(z)), dtype=torch.float64, device=x.device)
        total = total.plus(_Sums(count, z.sum(0), t.sum(0), z.mT @ z, z.mT @ t, t.square().sum(0)))
    return total


def _solve(sums: _Sums, penalty: Tensor) -> tuple[Tensor, Tensor]:
    """Weights [P, D, K] and intercepts [P, K] for penalties [P, K or 1]."""
    z, y = sums.z / sums.n, sums.y / sums.n
    values, vectors = torch.linalg.eigh(sums.zz - sums.n * torch.outer(z, z))
    rotated = vectors.mT @ (sums.zy - sums.n * torch.outer(z, y))
    weight = torch.stack([vectors @ (rotated / (values.clamp(min=0)[:, None] + own)) for own in penalty])
    return weight, y - z @ weight


def _choose(own: _Sums, other: _Sums) -> Tensor:
    """float64 [K]: the penalty with which what was fitted to `own` tells `other` best, channel by channel."""
    grid = own.n.new_tensor(PENALTIES)
    weight, intercept = _solve(own, grid[:, None])
    square = torch.stack([(w * (other.zz @ w)).sum(0) for w in weight])
    cross = (weight * other.zy).sum(1)
    sums = other.z @ weight  # (P, K), of the predictions less the intercept
    errors = other.yy - 2 * cross + square + other.n * intercept**2 + 2 * intercept * (sums - other.y)
    return grid[errors.argmin(0)]
