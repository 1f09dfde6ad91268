"""Lambda-returns, the weights of imagined states, and the scale of returns."""

import numpy as np
import pytest
import torch

from trainers.agent.normaliser import ReturnNormaliser
from trainers.agent.returns import lambda_returns, reach_weights

H, N = 7, 5


@pytest.fixture
def imagined() -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """Reward, discount and value of s_1 .. s_H, float64 [H, N]."""
    rng = np.random.default_rng(0)
    return tuple(
        torch.from_numpy(values) for values in (rng.normal(size=(H, N)), rng.uniform(0.5, 1, (H, N)), rng.normal(size=(H, N)))
    )


def _mixture_of_n_step_returns(reward, discount, value, lambda_):
    """The definition: (1 - lambda) sum_n lambda^(n-1) G_n + lambda^(last) G_last, by loops."""
    out = np.zeros_like(reward)
    for h in range(H):
        for column in range(N):
            n_step = []
            for n in range(1, H - h + 1):
                total, factor = 0.0, 1.0
                for k in range(n):
                    total += factor * reward[h + k, column]
                    factor *= discount[h + k, column]
                n_step.append(total + factor * value[h + n - 1, column])
            mixed = sum((1 - lambda_) * lambda_ ** (n - 1) * g for n, g in enumerate(n_step[:-1], start=1))
            out[h, column] = mixed + lambda_ ** (len(n_step) - 1) * n_step[-1]
    return out


@pytest.mark.parametrize("lambda_", [0.0, 0.5, 0.95, 1.0])
def test_lambda_returns_are_the_mixture_of_all_n_step_returns(lambda_: float, imagined):
    expected = _mixture_of_n_step_returns(*(values.numpy() for values in imagined), lambda_)
    np.testing.assert_allclose(lambda_returns(*imagined, lambda_).numpy(), expected, rtol=1e-12)


def test_nothing_counts_after_an_episodes_end(imagined):
    reward, discount, value = imagined
    discount = discount.clone()
    discount[2] = 0
    returns = lambda_returns(reward, discount, value, 0.95)
    altered = lambda_returns(torch.cat([reward[:3], reward[3:] + 9]), discount, torch.cat([value[:2], value[2:] + 9]), 0.95)
    torch.testing.assert_close(returns[:3], altered[:3])


def test_a_state_counts_as_much_as_it_is_reached():
    discount = torch.full((4, 3), 0.9)
    weights = reach_weights(torch.tensor([1.0, 1.0, 0.0]), discount)
    torch.testing.assert_close(weights[:, 0], torch.tensor([1.0, 0.9, 0.81, 0.729]))
    assert (weights[:, 2] == 0).all()  # started from a terminal state


def test_the_first_scale_is_the_range_of_percentiles():
    returns = torch.from_numpy(np.random.default_rng(1).normal(scale=30, size=(15, 40)).astype(np.float32))
    low, high = np.percentile(returns.numpy(), [5, 95])
    assert float(ReturnNormaliser().update(returns)) == pytest.approx(high - low, rel=1e-5)


def test_the_scale_follows_a_debiased_moving_average():
    normaliser, rng = ReturnNormaliser(decay=0.9), np.random.default_rng(2)
    batches = [rng.normal(scale=10 * (i + 1), size=200).astype(np.float32) for i in range(6)]
    weights = np.array([0.9 ** (5 - i) for i in range(6)])
    ranges = np.array([np.subtract(*np.percentile(batch, [95, 5])) for batch in batches])
    for batch in batches:
        scale = normaliser.update(torch.from_numpy(batch))
    assert float(scale) == pytest.approx((weights * ranges).sum() / weights.sum(), rel=1e-5)


def test_small_returns_are_not_amplified():
    assert float(ReturnNormaliser().update(torch.linspace(0, 0.01, 100))) == 1


def test_the_scale_is_part_of_a_state_dict():
    normaliser, other = ReturnNormaliser(), ReturnNormaliser()
    normaliser.update(torch.linspace(0, 50, 100))
    other.load_state_dict(normaliser.state_dict())
    following = torch.linspace(-5, 90, 100)
    assert normaliser.update(following) == other.update(following)
