"""The maths of the world model's loss, against torch.distributions and closed forms."""

import numpy as np
import pytest
import torch
from jaxtyping import TypeCheckError
from torch.distributions import Categorical, Independent, kl_divergence

from trainers.worldmodel.losses import (
    balanced_kl,
    categorical_kl,
    reward_bins,
    symexp,
    symlog,
    two_hot,
    two_hot_loss,
    two_hot_mean,
    unimix,
)

BINS = reward_bins()


def test_symlog_follows_its_definition_and_symexp_undoes_it():
    x = torch.tensor([-1e4, -2.0, -0.1, 0.0, 0.5, 1.718281828, 3e5], dtype=torch.float64)
    assert symlog(x)[5].item() == pytest.approx(1.0)
    assert symlog(x)[3] == 0
    torch.testing.assert_close(symexp(symlog(x)), x)


def test_bins_are_exactly_antisymmetric_and_reach_symexp_20():
    assert len(BINS) == 255
    assert BINS[127] == 0
    assert torch.equal(BINS, -BINS.flip(0))
    assert BINS[-1].item() == pytest.approx(4.85165e8, rel=1e-4)


def test_two_hot_puts_its_weight_on_the_neighbouring_bins_so_that_the_mean_is_the_value():
    x = torch.cat([torch.linspace(-7, 7, 400), BINS[100:150]])
    weights = two_hot(x, BINS)
    assert (weights >= 0).all()
    assert ((weights > 0).sum(-1) <= 2).all()
    torch.testing.assert_close(weights.sum(-1), torch.ones_like(x))
    torch.testing.assert_close(weights.double() @ BINS.double(), x.double(), rtol=1e-5, atol=1e-5)
    for value, row in zip(x.tolist(), weights, strict=True):
        used = row.nonzero().flatten()
        assert BINS[used[0]] <= value <= BINS[used[-1]]
        assert used[-1] - used[0] <= 1


def _two_hot_in_numpy(x: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Bins and weights in double precision, value by value (arXiv 2301.04104 v2, equations 9 to 11)."""
    points = np.linspace(-20, 20, 255)
    bins = np.sign(points) * (np.exp(np.abs(points)) - 1)
    weights = np.zeros((len(x), 255))
    for row, value in zip(weights, x, strict=True):
        k = int((bins <= value).sum()) - 1
        row[k : k + 2] = np.array([bins[k + 1] - value, value - bins[k]]) / (bins[k + 1] - bins[k])
    return bins, weights


def test_two_hot_its_loss_and_its_mean_agree_with_numpy():
    rng = np.random.default_rng(0)
    x, logits = np.concatenate([rng.normal(size=50), 30 * rng.normal(size=50), [0.0]]), rng.normal(size=(101, 255))
    bins, weights = _two_hot_in_numpy(x)
    np.testing.assert_allclose(BINS.numpy(), bins, rtol=1e-6)
    np.testing.assert_allclose(two_hot(torch.from_numpy(x), BINS.double()).numpy(), weights, atol=1e-5)
    probs = np.exp(logits) / np.exp(logits).sum(-1, keepdims=True)
    loss = two_hot_loss(torch.from_numpy(logits), torch.from_numpy(x), BINS.double())
    np.testing.assert_allclose(loss.numpy(), -(weights * np.log(probs)).sum(-1), rtol=1e-5)
    mean = two_hot_mean(torch.from_numpy(logits), BINS.double())
    np.testing.assert_allclose(mean.numpy(), probs @ bins, rtol=1e-6, atol=1.0)  # of bins as large as 5e8, stored as float32


def test_values_beyond_the_bins_count_as_the_outer_bins():
    weights = two_hot(torch.tensor([-1e12, 1e12]), BINS)
    assert weights[0, 0] == 1
    assert weights[1, -1] == 1


def test_two_hot_loss_is_least_where_the_prediction_has_the_value():
    x = torch.tensor([0.0, 0.3, 3.9])
    logits = torch.log(two_hot(x, BINS) + 1e-12)
    torch.testing.assert_close(two_hot_mean(logits, BINS), x, rtol=1e-3, atol=1e-3)
    entropy = Categorical(probs=two_hot(x, BINS)).entropy()
    torch.testing.assert_close(two_hot_loss(logits, x, BINS), entropy, rtol=1e-4, atol=1e-4)
    assert (two_hot_loss(torch.randn(3, 255), x, BINS) > entropy).all()


def test_uniform_logits_predict_exactly_zero():
    assert two_hot_mean(torch.zeros(4, 255), BINS).tolist() == [0.0] * 4


def test_unimix_is_the_mixture_with_a_uniform():
    logits = 20 * torch.randn(6, 3, 8)
    expected = 0.99 * Categorical(logits=logits).probs + 0.01 * Categorical(logits=torch.zeros_like(logits)).probs
    torch.testing.assert_close(unimix(logits), expected)
    assert unimix(logits).min() >= 0.01 / 8 - 1e-9


def _random_log_probs() -> torch.Tensor:
    return unimix(3 * torch.randn(5, 7, 4, 8)).log()


def test_kl_agrees_with_torch_distributions():
    torch.manual_seed(0)
    p, q = _random_log_probs(), _random_log_probs()
    expected = kl_divergence(Independent(Categorical(logits=p), 1), Independent(Categorical(logits=q), 1))
    torch.testing.assert_close(categorical_kl(p, q), expected)


def test_kl_balance_trains_each_side_by_its_own_term():
    torch.manual_seed(0)
    post, prior = _random_log_probs().requires_grad_(), _random_log_probs().requires_grad_()
    dynamics, representation = balanced_kl(post, prior, free_nats=0.0)
    torch.testing.assert_close(dynamics, representation)
    to_post, to_prior = torch.autograd.grad(dynamics.sum(), [post, prior], allow_unused=True)
    assert to_post is None
    assert to_prior.abs().sum() > 0
    to_post, to_prior = torch.autograd.grad(representation.sum(), [post, prior], allow_unused=True)
    assert to_prior is None
    assert to_post.abs().sum() > 0


def test_free_nats_hold_the_loss_up_and_stop_its_gradient():
    post = _random_log_probs()
    prior = post.clone().requires_grad_()
    dynamics, _ = balanced_kl(post, prior, free_nats=1.0)
    assert (dynamics == 1).all()
    assert torch.autograd.grad(dynamics.sum(), prior)[0].abs().max() == 0


def test_shapes_in_signatures_are_checked_in_tests():
    with pytest.raises(TypeCheckError, match="x"):
        two_hot_loss(torch.zeros(3, 255), torch.zeros(4), reward_bins())
