"""Pictures of representations: vectors placed in a plane, so that near ones stay near."""

import warnings

import numpy as np
from numpy.typing import NDArray

NEIGHBOURS = 15  # what counts as near (the authors' default)
FEWEST = 100  # vectors: below, UMAP has little to go by


def umap(features: NDArray[np.floating], seed: int) -> NDArray[np.float32]:
    """UMAP (McInnes et al. 2018, arXiv 1802.03426) by umap-learn: the same features and seed give the same places.

    Distances in the plane mean little; which points are neighbours is what it shows.

    Args:
        features: float [n, d], finite, n > 2.
        seed: of its random choices.

    Returns:
        float32 [n, 2].

    Raises:
        ValueError: the features are not finite, or there are too few.
    """
    if features.ndim != 2 or len(features) < 3 or not np.isfinite(features).all():
        raise ValueError(f"UMAP needs at least three finite vectors [n, d], not {features.shape}")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        from umap import UMAP  # compiles itself on first use: seconds

        near = min(NEIGHBOURS, len(features) - 1)
        start = "spectral" if len(features) > 10 else "random"  # an eigenproblem that a handful of points cannot pose
        model = UMAP(n_neighbors=near, n_components=2, init=start, random_state=seed, n_jobs=1)
        return np.asarray(model.fit_transform(features.astype(np.float32)), dtype=np.float32)


def plane(features: NDArray[np.floating], seed: int) -> NDArray[np.float32]:
    """`umap` of at least `FEWEST` vectors; of fewer, their first two principal components (nought where there is but one)."""
    if len(features) >= FEWEST:
        return umap(features, seed)
    centred = features.astype(np.float64) - features.mean(0)
    left, size, _ = np.linalg.svd(centred, full_matrices=False)
    places = np.zeros((len(features), 2), np.float32)
    places[:, : min(2, len(size))] = (left * size)[:, :2]
    return places
