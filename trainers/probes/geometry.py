"""What vectors look like: how many dimensions they fill, and how far a look moves them beside what a state does."""

import torch
from jaxtyping import Float, Int
from torch import Tensor

_DISCARDED = 0.1  # of the largest ratios, as the authors do


def two_nn(x: Float[Tensor, "n D"]) -> float | None:
    """Intrinsic dimension by the distances to the two nearest neighbours (Facco et al. 2017, arXiv 1803.06992, section "Method").

    Their ratio r2 / r1 is Pareto-distributed with the dimension as exponent; that is fitted to the empirical distribution by a
    line through the origin, without the largest tenth.

    Args:
        x: points drawn independently, or nearly so: steps of one episode that follow closely are each other's neighbours, at
            about equal distances on a line, which says nothing of the dimension that episodes fill.

    Returns:
        None where there are too few points that differ.
    """
    points = x.double() - x.double().mean(0)
    norms = points.square().sum(1)
    squares = (norms[:, None] + norms - 2 * points @ points.mT).clamp(min=0)
    near = squares.fill_diagonal_(torch.inf).topk(min(2, len(x)), 1, largest=False).values
    if near.shape[1] < 2:
        return None
    same = 1e-12 * float(norms.max())  # rounding: the points are equal
    near = near[(near[:, 0] > same) & torch.isfinite(near[:, 1])]
    ratios = (near[:, 1] / near[:, 0]).sort().values.log() / 2
    kept = int(len(ratios) * (1 - _DISCARDED))
    if kept < 2:
        return None
    log = ratios[:kept]
    rest = -torch.log1p(-torch.arange(1, kept + 1, dtype=torch.float64, device=x.device) / len(ratios))
    square = float((log @ log).item())
    return float((log @ rest).item()) / square if square > 0 else None


def between_groups(x: Float[Tensor, "n D"], group: Int[Tensor, " n"]) -> float | None:
    """Mean squared distance between rows of different groups; None with a single group."""
    names, number = torch.unique(group, return_inverse=True)
    points = x.double() - x.double().mean(0)
    squares = points.square().sum(1)
    counts = torch.bincount(number, minlength=len(names)).double()
    sums = torch.zeros(len(names), x.shape[1], dtype=torch.float64, device=x.device).index_add_(0, number, points)
    own = torch.zeros(len(names), dtype=torch.float64, device=x.device).index_add_(0, number, squares)
    within = 2 * (counts * own - sums.square().sum(1)).sum()
    total = 2 * (len(x) * squares.sum() - points.sum(0).square().sum())
    pairs = len(x) ** 2 - float(counts.square().sum())
    return float(total - within) / pairs if pairs else None


def signal_to_nuisance(default: Float[Tensor, "n D"], shifted: Float[Tensor, "n D"], group: Int[Tensor, " n"]) -> float | None:
    """Mean squared distance between different states over that between two looks of the same state.

    Args:
        default, shifted: the same states under the default look and under another.
        group: their episodes; states of different episodes are different states.

    Returns:
        None with a single episode, or where the look changes nothing.
    """
    signal = between_groups(default, group)
    nuisance = float((default.double() - shifted.double()).square().sum(1).mean())
    return None if signal is None or nuisance == 0 else signal / nuisance


def principal(x: Float[Tensor, "n D"], most: int) -> Float[Tensor, "n d"]:
    """Principal components of rows, at most `most`, float32; a component's largest coefficient is positive."""
    points = x.double() - x.double().mean(0)
    _, vectors = torch.linalg.eigh(points.mT @ points)
    chosen = vectors.flip(1)[:, : min(most, x.shape[1])]
    largest = chosen.gather(0, chosen.abs().argmax(0, keepdim=True))
    return (points @ (chosen * torch.where(largest < 0, -1.0, 1.0))).float()
