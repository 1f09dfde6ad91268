"""Regression by the mean of the nearest training rows."""

from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor

from trainers.worldmodel.observation import standardisation

NEIGHBOURS = 5
_CHUNK = 1024  # rows compared at once


@dataclass(frozen=True)
class Knn:
    """Training rows to look up.

    Attributes:
        mean, scale: float32 [D], what inputs are standardised with.
        x, y: float32 [n, D] standardised, and [n, K].
        k: how many neighbours count.
    """

    mean: Tensor
    scale: Tensor
    x: Tensor
    y: Tensor
    k: int = NEIGHBOURS

    def predict(self, x: Float[Tensor, "m D"]) -> Float[Tensor, "m K"]:
        """Inputs [m, D] -> float32 [m, K]; near are those at a small Euclidean distance."""
        norms = self.x.square().sum(1)
        made = []
        for part in x.split(_CHUNK):
            z = (part.float() - self.mean) / self.scale
            near = torch.addmm(norms, z, self.x.mT, alpha=-2).topk(min(self.k, len(self.x)), 1, largest=False).indices
            made.append(self.y[near].mean(1))
        return torch.cat(made)


def fit_knn(x: Float[Tensor, "n D"], y: Float[Tensor, "n K"], k: int = NEIGHBOURS) -> Knn:
    """Keep training rows; inputs are standardised as the world models do it (`observation.standardisation`)."""
    mean, scale = (values.float() for values in standardisation(x))
    return Knn(mean, scale, (x.float() - mean) / scale, y.float(), k)
