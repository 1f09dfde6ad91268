"""Planning by MPPI finds the optimum where it is known: a linear system with quadratic costs (Riccati)."""

import numpy as np
import torch
from scipy.linalg import solve_discrete_are
from torch import Tensor

from trainers.tdmpc2.config import Config, Settings, Sizes
from trainers.tdmpc2.maths import regression_mean
from trainers.tdmpc2.model import TDMPC2
from trainers.tdmpc2.planner import Planner, PlanSettings, planner_of

A = np.array([[1.0, 0.1], [-0.1, 0.95]])
B = np.array([[0.0], [0.5]])
Q, R, DISCOUNT = np.diag([1.0, 0.3]), np.array([[0.2]]), 0.97


def riccati() -> tuple[np.ndarray, np.ndarray]:
    """Cost-to-go P and gain K of the discounted problem: u = -K x."""
    a, b = np.sqrt(DISCOUNT) * A, np.sqrt(DISCOUNT) * B
    p = solve_discrete_are(a, b, Q, R)
    return p, np.linalg.solve(R + b.T @ p @ b, b.T @ p @ a)


def quadratic(x: Tensor, matrix: np.ndarray) -> Tensor:
    m = torch.tensor(matrix, dtype=x.dtype)
    return -(x @ m * x).sum(-1)


def onward(x: Tensor, u: Tensor) -> Tensor:
    return x @ torch.tensor(A.T, dtype=x.dtype) + u @ torch.tensor(B.T, dtype=x.dtype)


def planner(settings: PlanSettings, value: np.ndarray, policy_gain: float = 0.0) -> Planner:
    """Whose value beyond the horizon is that of the optimal policy, however bad the proposing one is."""
    return Planner(
        lambda x, u: quadratic(x, Q) + quadratic(u, R), onward, lambda x: policy_gain * x[..., :1],
        lambda x, _: quadratic(x, value), DISCOUNT, settings,
    )  # fmt: skip


def test_the_first_action_is_riccatis() -> None:
    p, gain = riccati()
    x = torch.tensor([[0.6, -0.4], [-0.5, 0.3], [0.2, 0.5], [0.0, 0.0]])
    optimal = -x.numpy() @ gain.T
    assert np.abs(optimal).max() < 0.9  # bounds play no part
    sharp = PlanSettings(temperature=10.0, min_std=0.01, iterations=20)
    for horizon in (1, 3, 5):  # the value is exact: any horizon has the same optimum
        made = planner(sharp, p).plan(
            x, torch.zeros(horizon, 4, 1), torch.ones(4, dtype=torch.bool), torch.Generator().manual_seed(0)
        )
        np.testing.assert_allclose(made.mean[0].numpy(), optimal, atol=0.02)


def test_upstreams_settings_control_as_well_as_the_optimum() -> None:
    p, _ = riccati()
    x = torch.tensor([[0.8, -0.6], [-0.7, 0.5]])
    best = float(quadratic(x, p).sum())
    mean, first, total = torch.zeros(3, 2, 1), torch.ones(2, dtype=torch.bool), 0.0
    plan, generator = planner(PlanSettings(), p).plan, torch.Generator().manual_seed(0)
    for step in range(60):
        action, mean = plan(x, mean, first, generator)
        total += DISCOUNT**step * float((quadratic(x, Q) + quadratic(action, R)).sum())
        x, first = onward(x, action), torch.zeros(2, dtype=torch.bool)
    assert best >= total - 1e-6 and total > 1.15 * best  # costs are negative: at most 15 % more of them
    assert total > 2 * float(quadratic(torch.tensor([[0.8, -0.6], [-0.7, 0.5]]), p).sum())


def test_actions_stay_in_bounds_and_a_new_episode_forgets_the_plan_before() -> None:
    p, _ = riccati()
    far = torch.tensor([[30.0, 30.0], [30.0, 30.0]])
    old = torch.full((3, 2, 1), 0.9)
    quick = PlanSettings(iterations=1, samples=64, elites=8, from_policy=0, max_std=0.05)
    made = planner(quick, p).plan(far, old, torch.tensor([True, False]), torch.Generator().manual_seed(1), explore=True)
    assert made.action.abs().max() <= 1
    assert made.mean[0, 1] > 0.7 > 0.3 > made.mean[0, 0]  # narrow sampling stays near where it started


def test_the_policys_proposals_are_tried() -> None:
    p, gain = riccati()
    x = torch.tensor([[0.6, -0.4]])
    lazy = PlanSettings(iterations=1, samples=32, elites=1, from_policy=31, max_std=1e-6, min_std=1e-6)
    best = Planner(
        lambda x, u: quadratic(x, Q) + quadratic(u, R), onward, lambda x: -x @ torch.tensor(gain.T, dtype=x.dtype),
        lambda x, _: quadratic(x, p), DISCOUNT, lazy,
    )  # fmt: skip
    made = best.plan(x, torch.zeros(3, 1, 1), torch.tensor([True]), torch.Generator().manual_seed(0))
    np.testing.assert_allclose(made.action.numpy(), -x.numpy() @ gain.T, atol=1e-5)


def test_the_same_noise_plans_the_same() -> None:
    p, _ = riccati()
    x = torch.tensor([[0.6, -0.4]])
    one, two = (
        planner(PlanSettings(), p).plan(x, torch.zeros(3, 1, 1), torch.tensor([True]), torch.Generator().manual_seed(s))
        for s in (3, 3)
    )
    assert torch.equal(one.action, two.action) and torch.equal(one.mean, two.mean)


def test_a_model_plans_what_its_own_heads_promise() -> None:
    torch.manual_seed(0)
    model = TDMPC2(Config("vector", (5,), 2, Settings(Sizes(encoder=16, encoder_layers=2, latent=16, mlp=16, q=2, channels=4))))
    for part in (model.reward, model.q):  # their last layers start at zero, where all plans are worth the same
        for parameter in part.parameters():
            torch.nn.init.normal_(parameter, std=0.3)
    latent = model.encode(torch.randn(3, 3, 5))
    quick = PlanSettings(iterations=4, samples=128, elites=16, from_policy=8)
    made = planner_of(model, 0.97, quick, torch.Generator().manual_seed(0))

    def worth(actions: Tensor) -> Tensor:  # [H, B, A], the last state's value under the policy's mode
        with torch.no_grad():
            z, total = latent, torch.zeros(len(latent))
            for step, action in enumerate(actions):
                total += 0.97**step * regression_mean(model.reward_logits(z, action), model.bins)
                z = model.next(z, action)
            last = model.policy(z, torch.zeros(len(z), 2)).action
            return total + 0.97 ** len(actions) * regression_mean(model.value_logits(z, last), model.bins).mean(0)

    planned = made.plan(latent, torch.zeros(3, 3, 2), torch.ones(3, dtype=torch.bool), torch.Generator().manual_seed(1))
    tried = torch.stack([worth(2 * torch.rand(3, 3, 2) - 1) for _ in range(64)])
    assert planned.action.shape == (3, 2) and planned.action.abs().max() <= 1
    assert (worth(planned.mean) > tried.quantile(0.9, dim=0)).all()
