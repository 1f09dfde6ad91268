"""The nearest of many rows, which are handed over a few at a time: memory does not grow with their number."""

from collections.abc import Iterable
from typing import NamedTuple

import torch
from jaxtyping import Float, Int
from torch import Tensor


class Known(NamedTuple):
    """Rows that can be found.

    Attributes:
        row: int64 [m], of the trajectory file. episode: int64 [m], of each.
        values: float [m, D].
    """

    row: Tensor
    episode: Tensor
    values: Tensor


class Nearest(NamedTuple):
    """What was found for each of n queries.

    Attributes:
        row: int64 [n]; -1 where none can be: a query that is not finite, or no row of another episode.
        distance: float [n], root mean square of the differences over the D dimensions; infinite where there is no row.
    """

    row: Tensor
    distance: Tensor


def nearest(queries: Float[Tensor, "n D"], episode: Int[Tensor, " n"], known: Iterable[Known]) -> Nearest:
    """The row at the least Euclidean distance from each query, never one of its own episode; of equals the first.

    One matrix product per part finds it; its distance is then computed without the product's cancellation.

    Args:
        queries: float [n, D].
        episode: int64 [n], of each query.
        known: rows in parts; a part takes n * m numbers.
    """
    row = torch.full_like(episode, -1)
    distance = queries.new_full((len(queries),), torch.inf)
    for part in known:
        apart = torch.addmm(part.values.square().sum(1), queries, part.values.mT, alpha=-2)  # (n, m), less |query|^2
        own = episode[:, None] == part.episode
        least, at = apart.masked_fill_(own, torch.inf).min(1)
        found = (queries - part.values[at]).square().mean(1).sqrt()
        closer = (found < distance) & (least < torch.inf)
        row, distance = torch.where(closer, part.row[at], row), torch.where(closer, found, distance)
    return Nearest(row, distance)
