"""Differences between representations, on average over several of them."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from analysis.claims.runs import Quantity, apart, cells
from analysis.resample import Array, Resampling
from analysis.statistics.draws import Ids, counts
from analysis.statistics.intervals import p_value, standard_error, student


@dataclass(frozen=True)
class Estimate:
    """A number with its interval; nan where undefined.

    Attributes:
        encoders: how many representations (or pairs of them, or points' clusters) it is from.
        seeds: fewest of any representation on any task.
    """

    estimate: float
    low: float
    high: float
    p: float
    encoders: int
    tasks: int
    seeds: int


def contrast(quantity: Quantity, pairs: Sequence[tuple[str, str | None]], how: Resampling) -> Estimate | None:
    """Mean over `pairs` of the first representation's quantity less the second's (or of the first's own).

    Each is a mean over the tasks and algorithms that both have, of means over seeds. Pairs, seeds within their task, and episodes
    are resampled together, so the interval speaks of other representations of the kind, too. Its degrees of freedom are pairs
    less one, or, if that is fewer, the seeds less the tasks of a representation that several pairs share.

    Returns:
        None where no pair has a task in common.
    """
    q = quantity.defined
    if not len(q.values):
        return None
    cell = cells(q.runs)
    names = q.runs.unique(["encoder", "task", "algorithm"], keep="first", maintain_order=True)  # [C], in the order of `cell`
    where = {row[:3]: c for c, row in enumerate(names.select("encoder", "task", "algorithm").rows())}
    chosen = [(k, own, there) for k, pair in enumerate(pairs) for own, there in _common(where, pair)]
    if not chosen:
        return None
    kept = {k: i for i, k in enumerate(dict.fromkeys(k for k, _, _ in chosen))}
    mix = np.zeros((len(kept), len(names)))  # pairs' differences as a linear map of cells' means
    for k, own, there in chosen:
        share = 1 / sum(1 for other, _, _ in chosen if other == k)
        mix[kept[k], own] += share
        if there is not None:
            mix[kept[k], there] -= share
    member = np.eye(len(names))[cell]
    seeds = counts(cell, apart(how, 1))
    used = np.flatnonzero(np.abs(mix).sum(0))
    with np.errstate(all="ignore"):
        drawn = np.nan_to_num(q.drawn) * seeds @ member / (seeds * np.isfinite(q.drawn) @ member)
    of_pairs = counts(np.zeros(len(kept), np.int64), apart(how, 2))
    estimate = float((mix @ (q.values @ member / member.sum(0))).mean())
    resampled = (drawn[:, used] @ mix[:, used].T * of_pairs).sum(1) / of_pairs.sum(1)
    size = member.sum(0)
    freedom = min(len(kept) - 1, _shared_freedom(pairs, kept, names["encoder"].to_list(), used, size))
    low, high = student(estimate, resampled, how.confidence, freedom + 1, freedom)
    p = p_value(estimate, standard_error(resampled, freedom + 1, freedom), freedom)
    return Estimate(estimate, low, high, p, len(kept), names[used]["task"].n_unique(), int(size[used].min()))


def _common(where: dict[tuple[str, ...], int], pair: tuple[str, str | None]) -> list[tuple[int, int | None]]:
    own, other = pair
    mine = {key[1:]: c for key, c in where.items() if key[0] == own}
    if other is None:
        return [(c, None) for c in mine.values()]
    return [(c, where[other, *key]) for key, c in mine.items() if (other, *key) in where]


def _shared_freedom(
    pairs: Sequence[tuple[str, str | None]], kept: dict[int, int], encoders: list[str], used: Ids, size: Array
) -> int:
    """Seeds less cells of the second of several pairs; without bound where there is none."""
    others = [pairs[k][1] for k in kept]
    shared = {other for other in others if other is not None and others.count(other) > 1}
    return min((int(sum(size[c] - 1 for c in used if encoders[c] == other)) for other in shared), default=1 << 30)
