"""TD-MPC2's maths against formulas written another way."""

import numpy as np
import pytest
import torch

from trainers.tdmpc2.layers import simnorm
from trainers.tdmpc2.maths import (
    bins,
    gaussian_entropy,
    history,
    regression_loss,
    regression_mean,
    rollout_loss,
    spread,
    td_target,
)


def test_simnorm_is_a_softmax_within_each_group_of_eight():
    x = 3 * torch.randn(5, 24)
    grouped = np.exp(x.numpy().reshape(5, 3, 8).astype(np.float64))
    expected = (grouped / grouped.sum(-1, keepdims=True)).reshape(5, 24)
    np.testing.assert_allclose(simnorm(x).numpy(), expected, rtol=1e-5)


@pytest.mark.parametrize("x", [0.0, 0.37, -2.5, 812.0, -1e6, 1e9])
def test_discrete_regression_is_a_two_hot_cross_entropy_in_symlog(x: float):
    logits = torch.randn(101)
    y = np.clip(np.sign(x) * np.log(1 + abs(x)), -10, 10)
    low = min(int(np.floor((y + 10) / 0.2 + 1e-9)), 99)
    weight = (y + 10) / 0.2 - low
    log_probs = torch.log_softmax(logits.double(), -1).numpy()
    expected = -((1 - weight) * log_probs[low] + weight * log_probs[low + 1])
    assert regression_loss(logits, torch.tensor(x), bins()).item() == pytest.approx(expected, rel=1e-4)


def test_the_mean_of_a_discrete_regression_is_taken_in_symlog():
    logits = torch.full((101,), -100.0)
    logits[[60, 65]] = 0.0  # symlog 2 and 3, as likely
    assert regression_mean(logits, bins()).item() == pytest.approx(np.exp(2.5) - 1, rel=1e-4)
    assert regression_mean(torch.zeros(101), bins()).item() == pytest.approx(0, abs=1e-5)


def test_one_target_serves_every_member():
    logits, x = torch.randn(5, 3, 4, 101), torch.randn(3, 4)
    together = regression_loss(logits, x, bins())
    for member in range(5):
        torch.testing.assert_close(together[member], regression_loss(logits[member], x, bins()))


def test_each_step_of_a_rollout_counts_rho_times_the_one_before():
    errors, rho = torch.rand(4, 3, 6), 0.5
    expected = 0.0
    for t in range(4):
        expected += rho**t * sum(float(e) for e in errors[t].flatten()) / 18
    assert rollout_loss(errors, rho).item() == pytest.approx(expected / 4, rel=1e-5)


def test_the_td_target_takes_the_lesser_value_and_nothing_after_a_terminal_state():
    reward, values = torch.randn(3, 4), torch.randn(2, 3, 4)
    terminal = torch.rand(3, 4) < 0.4
    made = td_target(reward, terminal, values, 0.9)
    for h in range(3):
        for b in range(4):
            ahead = 0.0 if terminal[h, b] else 0.9 * min(values[0, h, b].item(), values[1, h, b].item())
            assert made[h, b].item() == pytest.approx(reward[h, b].item() + ahead, rel=1e-5)


def test_the_spread_is_that_of_the_middle_nine_tenths_and_at_least_one():
    x = torch.randn(301) * 7
    assert spread(x).item() == pytest.approx(np.subtract(*np.percentile(x.numpy(), [95, 5])), rel=1e-5)
    assert spread(0.01 * x).item() == 1.0


def test_the_entropy_is_minus_the_gaussians_log_density_times_the_actions_size():
    mean, log_std, noise = torch.randn(3, 2, 5).unbind()
    density = torch.distributions.Normal(mean, log_std.exp()).log_prob(mean + log_std.exp() * noise)
    torch.testing.assert_close(gaussian_entropy(noise, log_std), -5 * density.sum(-1), rtol=1e-4, atol=1e-4)


def test_an_episodes_first_row_stands_in_for_those_before_it():
    is_first = torch.tensor([[True, False, False, False], [False, False, True, False]])
    made = history(is_first, 3)
    assert made[0].tolist() == [[0, 0, 0], [0, 0, 1], [0, 1, 2], [1, 2, 3]]
    assert made[1].tolist() == [[0, 0, 0], [0, 0, 1], [2, 2, 2], [2, 2, 3]]
    assert history(is_first, 1).squeeze(-1).tolist() == [[0, 1, 2, 3]] * 2
