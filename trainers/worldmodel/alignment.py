"""Losses that compare latent features with what was observed, beside reconstruction or in its place.

As NM512/r2dreamer, dreamer.py, `_cal_grad`: features are mapped linearly, and the other side gets no gradient.
"""

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor

REDUNDANCY = 5e-4  # weight of the off-diagonal terms (upstream's configs/model/_base_.yaml, r2dreamer.lambd)
_EPS = 1e-8


def infonce(projected: Float[Tensor, "N E"], target: Float[Tensor, "N E"]) -> Float[Tensor, ""]:
    """Mean cross-entropy of finding each row's own target among all rows' by inner product (arXiv 1807.03748, equation 4).

    Args:
        projected: float [N, E], features mapped linearly.
        target: float [N, E].
    """
    return F.cross_entropy(projected @ target.T, torch.arange(len(target), device=target.device))


def barlow(projected: Float[Tensor, "N E"], target: Float[Tensor, "N E"]) -> Float[Tensor, ""]:
    """Redundancy reduction: the cross-correlation of dimensions should be the identity (arXiv 2103.03230, equation 1).

    Args:
        projected: float [N, E], features mapped linearly.
        target: float [N, E].
    """
    correlation = _standardised(projected).T @ _standardised(target) / len(target)  # (E, E)
    on = correlation.diagonal()
    invariance = (on - 1).square().sum()
    return invariance + REDUNDANCY * (correlation.square().sum() - on.square().sum())


def _standardised(x: Tensor) -> Tensor:
    return (x - x.mean(0)) / (x.std(0) + _EPS)
