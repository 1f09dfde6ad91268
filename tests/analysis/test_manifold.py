"""UMAP: clusters stay apart, the same seed gives the same picture, and nothing is said on the way."""

import numpy as np
import pytest

from analysis.manifold import plane, umap


def test_clusters_stay_apart_and_a_seed_repeats_the_picture():
    rng = np.random.default_rng(0)
    label = np.repeat([0, 1, 2], 40)
    features = rng.normal(size=(120, 10)) + 20 * np.eye(10)[label]
    places = umap(features, seed=0)
    assert places.shape == (120, 2) and places.dtype == np.float32
    centres = np.stack([places[label == i].mean(0) for i in range(3)])
    nearest = ((places[:, None] - centres) ** 2).sum(-1).argmin(1)
    assert (nearest == label).all()
    np.testing.assert_array_equal(umap(features, seed=0), places)


def test_a_handful_of_points_has_a_picture_too():
    assert np.isfinite(umap(np.random.default_rng(0).normal(size=(5, 3)), seed=1)).all()


@pytest.mark.parametrize("features", [np.zeros((2, 3)), np.zeros(5), np.full((9, 2), np.nan)])
def test_what_has_no_picture_is_refused(features: np.ndarray):
    with pytest.raises(ValueError, match="at least three finite vectors"):
        umap(features, seed=0)


def test_few_points_are_placed_by_their_principal_components():
    rng = np.random.default_rng(0)
    features = rng.normal(size=(50, 4)) * [5, 3, 0.1, 0.1] + 7
    places = plane(features, seed=0)
    np.testing.assert_allclose(np.abs(places), np.abs(features[:, :2] - features[:, :2].mean(0)), atol=0.8)
    assert plane(features[:, :1], seed=0)[:, 1].max() == 0
