"""What a trained world model must be able to do, on a system whose best possible errors are known in closed form."""

from functools import cache

import pytest
import torch
from torch import Tensor

from trainers.worldmodel import Batch, LossScales, ModelConfig, State, WorldModel

DECAY, PROCESS, NOISE, LENGTH = 0.9, 0.5, 1.0, 16  # s' = DECAY s + a + PROCESS e;  reward = s + NOISE e'


def _linear_gaussian(episodes: int, seed: int) -> Batch:
    """The state is observed as it is, so the least squared error of a reward's prediction is NOISE squared."""
    generator = torch.Generator().manual_seed(seed)
    action = 2 * torch.rand(episodes, LENGTH, 1, generator=generator) - 1
    action[:, 0] = 0
    state = torch.randn(episodes, LENGTH, generator=generator)
    for t in range(1, LENGTH):
        state[:, t] = DECAY * state[:, t - 1] + action[:, t, 0] + PROCESS * state[:, t]
    reward = state + NOISE * torch.randn(episodes, LENGTH, generator=generator)
    is_first = torch.zeros(episodes, LENGTH, dtype=torch.bool)
    is_first[:, 0] = True
    return Batch(state.unsqueeze(-1), action, reward, is_first, torch.zeros_like(is_first))


def _train(model: WorldModel, data: Batch, updates: int, rate: float, batch: int) -> None:
    optimiser = torch.optim.Adam(model.parameters(), rate)
    for update in range(updates):
        optimiser.param_groups[0]["lr"] = rate * min(1, (update + 1) / 50, 1.02 - update / updates)
        chosen = torch.randint(len(data.reward), (batch,))
        optimiser.zero_grad()
        model.loss(Batch(*(values[chosen] for values in data[:5])))[0].backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 100.0)
        optimiser.step()


@cache
def _errors() -> list[float]:
    """Mean squared error of held-out rewards at horizons 0 (filtering) to 8."""
    data, held_out = _linear_gaussian(2000, 0), _linear_gaussian(1000, 1)
    torch.manual_seed(0)
    model = WorldModel(ModelConfig("vector", (1,), 1, deter=32, hidden=64, stoch=8, classes=8, blocks=4, units=64))
    model.standardise(data.observation.flatten(0, 1))
    _train(model, data, 300, 0.004, 32)
    with torch.no_grad():
        states = model.observe(model.embed(held_out.observation), held_out.action, held_out.is_first, sample=False).states

        def error(state: State, reward: Tensor) -> float:
            return (model.reward(model.feature(state)) - reward).square().mean().item()

        errors = [error(State(states.deter[:, 4:], states.stoch[:, 4:]), held_out.reward[:, 4:])]
        state = State(states.deter[:, 5], states.stoch[:, 5])
        for t in range(6, 14):
            state = model.imagine_step(state, held_out.action[:, t], sample=False)
            errors.append(error(state, held_out.reward[:, t]))
    return errors


def _least(horizon: int) -> float:
    return NOISE**2 + PROCESS**2 * (1 - DECAY ** (2 * horizon)) / (1 - DECAY**2)


def test_the_reward_head_reaches_the_noise_floor():
    assert 0.95 * NOISE**2 < _errors()[0] < 1.2 * NOISE**2


def test_the_posterior_beats_the_prior():
    assert _errors()[0] < 0.9 * _errors()[1]


def test_open_loop_error_grows_with_the_horizon_and_is_never_below_the_least_possible():
    errors = _errors()
    assert errors[0] < errors[1] < errors[2] < errors[4] < errors[8]
    assert all(error > 0.95 * _least(h) for h, error in enumerate(errors))
    assert errors[1] < 1.5 * _least(1)


def test_a_unit_size_model_overfits_four_windows():
    torch.manual_seed(0)
    flags = torch.zeros(4, 5, dtype=torch.bool)
    data = Batch(torch.randn(4, 5, 3), 2 * torch.rand(4, 5, 1) - 1, torch.randn(4, 5), flags, flags.clone())
    model = WorldModel(ModelConfig("vector", (3,), 1, deter=16, hidden=16, stoch=4, classes=4, blocks=2, units=16))
    _train(model, data, 500, 0.01, 4)
    with torch.no_grad():
        states = model.observe(model.embed(data.observation), data.action, data.is_first, sample=False).states
        left = (model.reward(model.feature(states)) - data.reward).square().mean() / data.reward.var()
    assert left < 0.1


@pytest.mark.parametrize(
    ("scales", "taught", "untaught"),
    [
        (
            LossScales(0, 0, 0, dynamics=1, representation=0, free_nats=0),
            ["rssm.prior", "rssm.core"],
            ["rssm.post", "observation"],
        ),
        (LossScales(0, 0, 0, dynamics=0, representation=1, free_nats=0), ["rssm.post", "observation"], ["rssm.prior"]),
        (LossScales(0, 0, 0, dynamics=1, representation=1, free_nats=50), [], ["rssm"]),
    ],
    ids=["the prior learns from the posterior", "the posterior learns from the prior", "free nats teach nothing"],
)
def test_each_kl_term_trains_the_parameters_of_its_own_side(scales: LossScales, taught: list[str], untaught: list[str]):
    """One step: over several, the dynamics term reaches the posterior through the state."""
    torch.manual_seed(0)
    model = WorldModel(ModelConfig("vector", (3,), 1, deter=16, hidden=16, stoch=4, classes=4, blocks=2, units=16, loss=scales))
    flags = torch.zeros(4, 1, dtype=torch.bool)
    model.loss(Batch(torch.randn(4, 1, 3), torch.rand(4, 1, 1), torch.rand(4, 1), flags, flags))[0].backward()
    grads = {name: parameter.grad for name, parameter in model.named_parameters() if "decoder" not in name}
    for prefix in taught:
        assert any(grad.any() for name, grad in grads.items() if name.startswith(prefix)), prefix
    for prefix in untaught:
        assert not any(grad.any() for name, grad in grads.items() if name.startswith(prefix)), prefix
