"""Actor and critic in worlds small enough to be solved by hand."""

import pytest
import torch
from torch import Tensor

from trainers.agent.actor import MAX_STD, MIN_STD, Actor
from trainers.agent.behaviour import Behaviour, BehaviourConfig
from trainers.worldmodel import State

TARGET = 0.4


class Bandit:
    """Every step pays minus the squared distance of the action from TARGET, plus one; the feature is the last action."""

    def feature(self, state: State) -> Tensor:
        return state.deter

    def imagine_step(self, state: State, action: Tensor) -> State:
        return State(action, state.stoch)

    def reward(self, feature: Tensor) -> Tensor:
        return 1 - (feature[..., 0] - TARGET).square()

    def continuation(self, feature: Tensor) -> Tensor:
        return torch.ones_like(feature[..., 0])


def _behaviour(**changes: float) -> Behaviour:
    settings = {
        "imagine": 4, "imagine_last": 8, "discount": 0.8, "lambda_": 0.95, "entropy": 0.0, "learning_rate": 0.005, "clip": 100.0,
        "units": 16, "layers": 1, "slow_rate": 0.1,
    }  # fmt: skip
    torch.manual_seed(0)
    return Behaviour(BehaviourConfig(**settings | changes), 1, torch.tensor([-2.0]), torch.tensor([2.0]))


def _states(batch: int = 4, length: int = 8) -> State:
    return State(torch.zeros(batch, length, 1), torch.zeros(batch, length, 1, 1))


def _train(behaviour: Behaviour, updates: int, batch: int = 4) -> None:
    optimiser, terminal = behaviour.make_optimiser(), torch.zeros(batch, 8, dtype=torch.bool)
    for _ in range(updates):
        behaviour.step(optimiser, behaviour.loss(Bandit(), _states(batch), terminal))


def test_the_policy_finds_the_best_action_and_the_critic_its_value():
    behaviour = _behaviour(imagine=10)
    _train(behaviour, 300, batch=64)  # with few states the mode is as noisy as the tolerance
    feature = torch.full((1, 1), TARGET)
    policy = behaviour.actor(feature)
    assert behaviour.actor.to_task(policy.mode).item() == pytest.approx(TARGET, abs=0.15)
    assert policy.std.item() < 0.2  # noise costs reward here
    noise = (2 * policy.std.item()) ** 2  # actions span [-2, 2], the unit box [-1, 1]
    assert behaviour.critic(feature).mean.item() == pytest.approx((1 - noise) / (1 - 0.8), rel=0.1)


def test_the_entropy_bonus_keeps_the_policy_wide():
    narrow, wide = _behaviour(imagine=2), _behaviour(imagine=2, entropy=3.0)
    for behaviour in (narrow, wide):
        _train(behaviour, 600)
    feature = torch.full((1, 1), TARGET)
    assert narrow.actor(feature).std < 0.4 < 0.8 < wide.actor(feature).std


def test_the_actors_gradient_is_that_of_the_expected_return():
    """One step from one state: E[r] = 1 - (2 m - TARGET)^2 - (2 s)^2, so its gradient is known in closed form."""
    behaviour = _behaviour(imagine=1, discount=1e-6)
    with torch.no_grad():
        behaviour.actor.network[-1].bias[1] = -4.0  # a deviation of 0.2: actions are not clipped
    states, terminal = _states(4096), torch.zeros(4096, 8, dtype=torch.bool)
    parameters = list(behaviour.actor.parameters())
    estimated = torch.autograd.grad(behaviour.loss(Bandit(), states, terminal).actor, parameters)
    policy = behaviour.actor(torch.zeros(1, 1))
    exact = torch.autograd.grad(((2 * policy.mean - TARGET).square() + (2 * policy.std).square()).sum(), parameters)
    scale = float(behaviour.normaliser.scale)
    for got, expected in zip(estimated, exact, strict=True):
        torch.testing.assert_close(got * scale, expected, rtol=0.1, atol=0.1)


def test_terminal_states_teach_nothing():
    losses = _behaviour(entropy=1.0).loss(Bandit(), _states(), torch.ones(4, 8, dtype=torch.bool))
    assert losses.actor == 0 and losses.critic == 0


def test_an_update_leaves_the_slow_critic_a_fixed_share_behind():
    behaviour = _behaviour()
    before = [p.clone() for p in behaviour.slow_critic.parameters()]
    _train(behaviour, 1)
    for old, slow, fast in zip(before, behaviour.slow_critic.parameters(), behaviour.critic.parameters(), strict=True):
        torch.testing.assert_close(slow, old + 0.1 * (fast - old))


def test_policies_stay_within_their_bounds_and_agree_with_torch():
    actor = Actor(3, -torch.ones(2), torch.tensor([1.0, 5.0]), units=8, layers=1)
    policy = actor(1e6 * torch.randn(100, 3))
    assert (policy.mean.abs() <= 1).all() and (policy.std >= MIN_STD).all() and (policy.std <= MAX_STD).all()
    expected = torch.distributions.Normal(policy.mean, policy.std).entropy().sum(-1)
    torch.testing.assert_close(policy.entropy(), expected)


def test_actions_are_clipped_and_in_the_tasks_units():
    actor = Actor(3, torch.tensor([-1.0, 0.0]), torch.tensor([1.0, 10.0]), units=8, layers=1)
    task = actor.to_task(torch.tensor([[-3.0, 0.0], [0.5, 3.0]]))
    torch.testing.assert_close(task, torch.tensor([[-1.0, 5.0], [0.5, 10.0]]))


def test_the_policy_gradient_is_that_of_enumerated_actions():
    """One step, no critic yet: the expected reward is an integral over the policy's noise, here summed over a fine grid."""
    behaviour = _behaviour(imagine=1, lambda_=1.0)
    with torch.no_grad():
        for parameter in behaviour.actor.parameters():
            parameter.add_(0.1)
    states, terminal = _states(batch=4096), torch.zeros(4096, 8, dtype=torch.bool)
    parameters = list(behaviour.actor.parameters())
    sampled = torch.autograd.grad(behaviour.loss(Bandit(), states, terminal).actor, parameters)
    noise = torch.linspace(-6, 6, 20001)
    share = torch.softmax(-0.5 * noise.square(), 0)
    policy = behaviour.actor(torch.zeros(1, 1))
    reward = Bandit().reward(behaviour.actor.to_task(policy.mean + policy.std * noise[:, None]))
    exact = torch.autograd.grad(-(share * reward).sum(), parameters)
    scale = behaviour.normaliser.scale
    for own, wanted in zip(sampled, exact, strict=True):
        assert (scale * own - wanted).norm() <= 0.03 * wanted.norm() + 1e-6


def test_a_bonus_moves_the_policy_as_a_reward_does():
    behaviour, terminal = _behaviour(imagine=3), torch.zeros(16, 8, dtype=torch.bool)
    optimiser = behaviour.make_optimiser()
    for _ in range(150):
        losses = behaviour.loss(Bandit(), _states(16), terminal, bonus=lambda feature, action: 4 * action[..., 0])
        behaviour.step(optimiser, losses)
    # without it the best action is TARGET; 1 - (a - TARGET)^2 + 4 a grows up to the end of the actions' range
    assert behaviour.actor.to_task(behaviour.actor(torch.zeros(1, 1)).mode).item() > 2 * TARGET
