"""What stored embeddings look like: norms, dimensions that never change, values that are not finite."""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from datasets.embeddings import Embeddings
from datasets.errors import DataError
from datasets.tokens import StoredTokens

_ROWS = 20_000  # at most, evenly spaced, for the covariance
_TOKEN_ROWS = 64


@dataclass(frozen=True)
class Quality:
    """One look's embeddings in figures.

    Attributes:
        rows: filled rows. shape: of one row's value. dtype: as stored. attributes: of the Zarr group.
        norm_mean, norm_least, norm_most: of the rows' Euclidean norms.
        constant: dimensions with the same value in every row (collapsed).
        not_finite: rows with a value that is not finite.
        effective: participation ratio of the covariance's eigenvalues, (sum l)^2 / sum l^2: how many carry it.
    """

    rows: int
    shape: tuple[int, ...]
    dtype: str
    attributes: dict[str, Any]
    norm_mean: float
    norm_least: float
    norm_most: float
    constant: int
    not_finite: int
    effective: float


def describe(stored: Embeddings[NDArray[Any]]) -> Quality:
    """Describe one look's embeddings.

    Raises:
        DataError: it holds no rows.
    """
    rows = _some(stored.rows, _ROWS, stored.attributes)
    sample = stored.values[rows]
    return _figures(sample.reshape(len(sample), -1), stored.rows, stored.values, stored.attributes)


def describe_tokens(stored: StoredTokens) -> Quality:
    """Describe one look's tokens: norms and dimensions are of single tokens, a row is not finite if one of its tokens is not.

    Raises:
        DataError: it holds no rows.
    """
    filled = Embeddings(stored, stored.attributes).rows
    sample = stored.rows(_some(filled, _TOKEN_ROWS, stored.attributes))
    return _figures(sample.reshape(-1, sample.shape[-1]), filled, stored, stored.attributes)


def _some(rows: NDArray[np.int64], most: int, attributes: dict[str, Any]) -> NDArray[np.int64]:
    if not len(rows):
        raise DataError(f"look {attributes.get('variant')} of the embeddings holds no rows")
    chosen: NDArray[np.int64] = rows[np.linspace(0, len(rows) - 1, min(len(rows), most)).astype(np.int64)]
    return chosen


def _figures(sample: NDArray[Any], rows: NDArray[np.int64], values: Any, attributes: dict[str, Any]) -> Quality:
    """Of `sample` [n, D], taken from `rows` of `values` [T, ...]."""
    finite = np.isfinite(sample).all(1)
    whole = sample[finite].astype(np.float32)
    norms = np.linalg.norm(whole, axis=1) if len(whole) else np.zeros(1)
    constant = int((np.ptp(whole, axis=0) == 0).sum()) if len(whole) else 0
    return Quality(
        len(rows), values.shape[1:], attributes["dtype"], attributes, float(norms.mean()), float(norms.min()),
        float(norms.max()), constant, int((~finite).sum()), _effective(whole),
    )  # fmt: skip


def _effective(values: NDArray[np.float32]) -> float:
    """Participation ratio; by the smaller of the two Gram matrices, which have the same eigenvalues."""
    if len(values) < 2:
        return 0.0
    kept = values[:: max(1, len(values) // 2000)] - values.mean(0)
    gram = kept @ kept.T if len(kept) < kept.shape[1] else kept.T @ kept
    total = float(np.trace(gram))
    return total**2 / float((gram * gram).sum()) if total > 0 else 0.0


def principal_components(values: NDArray[Any], count: int = 2) -> NDArray[np.float32]:
    """The first `count` principal components [n, count] of values [n, D]."""
    centred = values.reshape(len(values), -1).astype(np.float32)
    centred -= centred.mean(0)
    _, _, axes = np.linalg.svd(centred[:: max(1, len(centred) // 2000)], full_matrices=False)
    projected: NDArray[np.float32] = centred @ axes[:count].T
    return projected
