"""Quantiles of two-hot categoricals: those of the distribution whose samples the network was shown, as fine as the bins are."""

import numpy as np
import pytest
import torch
from scipy.stats import norm

from trainers.quantiles import binned_quantiles
from trainers.tdmpc2.maths import bins as even_bins
from trainers.worldmodel.losses import reward_bins, two_hot

LEVELS = torch.tensor([0.025, 0.05, 0.25, 0.5, 0.75, 0.95, 0.975], dtype=torch.float64)


def test_masses_lie_evenly_between_the_middles_of_neighbouring_bins():
    """By hand: bins 0, 1, 3 end at 0 and 3, with cells [0, 0.5], [0.5, 2], [2, 3]."""
    made = binned_quantiles(torch.tensor([0.2, 0.3, 0.5]), torch.tensor([0.0, 1.0, 3.0]), torch.tensor([0.1, 0.2, 0.35, 0.75]))
    np.testing.assert_allclose(made, [0.25, 0.5, 1.25, 2.5], rtol=1e-6)


def test_they_invert_the_distribution_function_numpy_integrates():
    rng = np.random.default_rng(0)
    bins = np.sort(rng.normal(size=12))
    probs = rng.dirichlet(np.ones(12), size=5)
    edges = np.concatenate([bins[:1], (bins[1:] + bins[:-1]) / 2, bins[-1:]])
    expected = [np.interp(LEVELS, np.concatenate([[0], row.cumsum()]), edges) for row in probs]
    made = binned_quantiles(torch.from_numpy(probs), torch.from_numpy(bins), LEVELS)
    np.testing.assert_allclose(made, expected, rtol=1e-9, atol=1e-12)


@pytest.mark.parametrize(("mean", "std"), [(0.0, 1.0), (0.3, 0.6), (-1.7, 2.0)])
def test_a_head_that_has_learned_a_normal_covers_it_as_often_as_it_says(mean: float, std: float):
    """The mean of the two-hot targets of its quantiles is what a network converges to."""
    bins = even_bins(101, 10.0)
    sample = torch.from_numpy(norm.ppf((np.arange(20_000) + 0.5) / 20_000, mean, std)).float()
    ends = binned_quantiles(two_hot(sample, bins).double().mean(0), bins, LEVELS)
    np.testing.assert_allclose(norm.cdf(ends, mean, std), LEVELS, atol=0.005)


def test_what_is_finer_than_a_bin_is_covered_too_often_and_never_too_seldom():
    bins = reward_bins()
    sample = torch.from_numpy(norm.ppf((np.arange(5_000) + 0.5) / 5_000, 2.0, 0.02)).float()
    low, high = binned_quantiles(two_hot(sample, bins).double().mean(0), bins, torch.tensor([0.25, 0.75])).tolist()
    assert norm.cdf(high, 2.0, 0.02) - norm.cdf(low, 2.0, 0.02) > 0.5
    assert high - low < 2 * 0.16 * 3


def test_a_certain_head_has_an_interval_around_its_value_no_wider_than_two_bins():
    bins = reward_bins()
    for value in (0.0, 0.37, 3.1):
        low, high = binned_quantiles(two_hot(torch.tensor(value), bins), bins, torch.tensor([0.025, 0.975])).tolist()
        assert low < value < high
        assert high - low < 2 * 0.17 * (1 + value)


def test_batches_of_any_shape_and_masses_of_zero():
    probs = torch.zeros(2, 3, 5)
    probs[..., 2] = 1
    made = binned_quantiles(probs, torch.arange(5.0), torch.tensor([0.25, 0.5]))
    assert made.shape == (2, 3, 2)
    np.testing.assert_allclose(made[0, 0], [1.75, 2.0])
