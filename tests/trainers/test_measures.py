"""Dynamics error and calibration of planted models: a linear system whose state is its latent, with rewards of a known spread."""

from typing import NamedTuple

import numpy as np
import pytest
import torch
from scipy.stats import norm
from torch import Tensor

from datasets.embeddings import Embeddings
from datasets.episodes import Trajectories
from tests.synthetic import make_trajectories
from trainers.data import Rows, load_rows
from trainers.dinowm.config import Config as DinoConfig
from trainers.dinowm.config import Settings as DinoSettings
from trainers.dinowm.model import DinoWm, last_tokens
from trainers.evaluate import filter_episodes, predict_rewards
from trainers.probes.measures import LEVELS, Calibration, Dynamics, Measures, fit_latent_probe, targets
from trainers.tdmpc2.config import Config as TdConfig
from trainers.tdmpc2.config import Settings as TdSettings
from trainers.tdmpc2.config import Sizes
from trainers.tdmpc2.model import TDMPC2
from trainers.worldmodel import ModelConfig, WorldModel

A = torch.tensor([[0.9, 0.2], [-0.2, 0.9]])
B = torch.tensor([[0.0, 0.3]])
STD = 0.5  # of rewards around the first coordinate


class Latent(NamedTuple):
    z: Tensor


class Linear:
    """Its latent is the observation, `drift` times the true dynamics; `noisy` features say nothing of it."""

    def __init__(self, drift: float = 1.0, noisy: bool = False) -> None:
        self.drift, self.noisy = drift, noisy

    def filter(self, observation: Tensor, index: Tensor, action: Tensor, is_first: Tensor) -> Latent:
        return Latent(observation[index])

    def filter_with_kl(self, observation: Tensor, index: Tensor, action: Tensor, is_first: Tensor) -> tuple[Latent, None]:
        return self.filter(observation, index, action, is_first), None

    def imagine_step(self, state: Latent, action: Tensor, sample: bool) -> Latent:
        return Latent(self.drift * (state.z @ A.T + action @ B))

    def expected_reward(self, state: Latent) -> Tensor:
        return state.z[..., 0]

    def reward_quantiles(self, state: Latent, levels: Tensor) -> Tensor:
        return state.z[..., :1].double() + STD * torch.from_numpy(norm.ppf(levels.numpy()))

    def latent_error(self, imagined: Latent, encoded: Latent) -> Tensor:
        return (imagined.z - encoded.z).square().mean(-1)

    def feature(self, state: Latent) -> Tensor:
        if self.noisy:
            return torch.randn(*state.z.shape[:-1], 5, generator=torch.Generator().manual_seed(len(state.z)))
        return torch.cat([state.z @ torch.tensor([[1.0, 2.0], [3.0, -1.0]]), torch.ones_like(state.z)], -1)


def _data(episodes: int = 12, length: int = 60) -> Trajectories:
    rng = np.random.default_rng(0)
    data = make_trajectories(episodes=episodes, length=length, validation=4, observation=2)
    z = np.zeros((episodes, length, 2), np.float32)
    z[:, 0] = rng.normal(size=(episodes, 2))
    action = data.action.reshape(episodes, length, 1)
    for t in range(1, length):
        z[:, t] = z[:, t - 1] @ A.numpy().T + action[:, t] @ B.numpy()
    data.observation[:] = z.reshape(-1, 2)
    data.reward[:] = np.where(data.is_first, 0, data.observation[:, 0] + STD * rng.normal(size=episodes * length))
    return data


DATA = _data()
TRAIN, HELD = DATA.episodes(False), DATA.episodes(True)


def _rows() -> Rows:
    return load_rows(DATA, Embeddings(DATA.observation, {"rows": [[0, len(DATA.reward)]]}), TRAIN + HELD)


def _measured(model: Linear | WorldModel, horizon: int = 3, at_once: int = 3) -> tuple[Dynamics, Calibration]:
    rows = _rows()
    probe = fit_latent_probe(model, DATA, rows, TRAIN, at_once)
    filtered = filter_episodes(model, DATA, rows, HELD)
    measures = Measures(model, filtered, targets(DATA, rows, filtered.index.flatten()), probe, {0, 1, horizon})
    predict_rewards(model, filtered, horizon, 0, measures.visit)
    return measures.dynamics(), measures.calibration()


def _mean(made: Dynamics, metric: str, horizon: int) -> float:
    chosen = (made.metric == metric) & (made.horizon == horizon)
    return float(np.average(made.value[chosen], weights=made.n[chosen]))


def test_a_model_that_is_right_makes_no_error_at_any_horizon():
    made, _ = _measured(Linear())
    for metric in ("state_nmse", "embedding_nmse"):
        assert max(_mean(made, metric, horizon) for horizon in (0, 1, 3)) < 1e-5
    assert max(_mean(made, "latent_mse", horizon) for horizon in (1, 3)) < 1e-10
    assert not ((made.metric == "latent_mse") & (made.horizon == 0)).any()
    assert set(made.episode) == set(HELD)
    assert set(made.n[made.horizon == 0]) == {59} and set(made.n[made.horizon == 3]) == {57}


def test_latents_that_say_nothing_are_as_bad_as_the_mean():
    made, _ = _measured(Linear(noisy=True))
    for metric in ("state_nmse", "embedding_nmse"):
        spread = DATA.observation[np.concatenate([np.r_[DATA.rows_of(e)][1:] for e in HELD])].var(0)
        trained = DATA.observation[np.concatenate([np.r_[DATA.rows_of(e)][1:] for e in TRAIN])].var(0)
        assert _mean(made, metric, 0) == pytest.approx(float((spread / trained).mean()), rel=0.15)


def test_errors_of_wrong_dynamics_are_those_of_one_start_at_a_time():
    made, _ = _measured(model := Linear(drift=0.8))
    episode = HELD[1]
    part = DATA.rows_of(episode)
    z, action = (torch.from_numpy(values[part]) for values in (DATA.observation, DATA.action))
    errors = []
    for start in range(len(z) - 3):
        state = Latent(z[start : start + 1])
        for step in range(1, 4):
            state = model.imagine_step(state, action[start + step : start + step + 1], sample=False)
        errors.append(float((state.z - z[start + 3]).square().mean()))
    own = (made.episode == episode) & (made.metric == "latent_mse") & (made.horizon == 3)
    assert made.value[own].item() == pytest.approx(np.mean(errors), rel=1e-4)
    assert _mean(made, "state_nmse", 3) > _mean(made, "state_nmse", 1) > _mean(made, "state_nmse", 0)


def test_intervals_hold_as_many_rewards_as_they_should():
    _, made = _measured(Linear())
    assert set(made.horizon) == {0, 3}
    for level in LEVELS:
        own = made.level == level
        covered = made.inside[own].sum() / made.n[own].sum()
        assert covered == pytest.approx(level, abs=0.05)
        assert made.width[own] == pytest.approx(2 * STD * norm.ppf((1 + level) / 2))
    _, drifted = _measured(Linear(drift=0.0))
    far, near = (drifted.inside[drifted.horizon == h].sum() for h in (3, 0))
    assert far < near


def test_filtering_episodes_in_parts_changes_nothing():
    (one, _), (several, _) = _measured(Linear(0.9), at_once=8), _measured(Linear(0.9), at_once=1)
    np.testing.assert_allclose(one.value, several.value, rtol=1e-5, atol=1e-9)


def test_the_kl_of_dreamerv3_is_that_of_torch_distributions():
    torch.manual_seed(0)
    model = WorldModel(ModelConfig("vector", (2,), 1, deter=16, hidden=16, stoch=4, classes=4, blocks=4, units=16)).eval()
    made, _ = _measured(model)
    rows = _rows()
    part = DATA.rows_of(HELD[0])
    index = torch.arange(part.start, part.stop)[None]
    with torch.no_grad():
        seen = model.observe(model.embed(rows.observation[index]), rows.action[index], rows.is_first[index], sample=False)
    after, before = (torch.distributions.Categorical(logits=logits) for logits in (seen.post_logits, seen.prior_logits))
    expected = torch.distributions.kl_divergence(after, before).sum(-1)[0, 1:].mean()
    own = (made.metric == "kl") & (made.episode == HELD[0])
    assert made.horizon[own].tolist() == [1] and made.n[own].tolist() == [59]
    assert made.value[own].item() == pytest.approx(float(expected), rel=1e-4)
    assert "latent_mse" not in made.metric


def test_a_constant_state_is_not_asked_for():
    rows = _rows()
    fixed = DATA.observation.copy()
    try:
        DATA.observation[:] = 3.0
        probe = fit_latent_probe(Linear(), DATA, rows, TRAIN, 4)
    finally:
        DATA.observation[:] = fixed
    assert "state" not in probe.asked.channels


def _models() -> dict[str, WorldModel | TDMPC2 | DinoWm]:
    torch.manual_seed(0)
    dreamer = WorldModel(ModelConfig("vector", (2,), 1, deter=16, hidden=16, stoch=4, classes=4, blocks=4, units=16))
    td = TDMPC2(TdConfig("vector", (2,), 1, TdSettings(Sizes(encoder=16, encoder_layers=2, latent=16, mlp=16, q=2))))
    dino = DinoWm(DinoConfig((2,), 1, settings=DinoSettings(depth=1, heads=2, head_width=8, mlp=16)))
    for head in (dreamer.reward_head, td.reward, dino.reward_head):
        for parameter in head.parameters():  # zero-initialised
            parameter.data += 0.3 * torch.randn_like(parameter)
    return {"dreamerv3": dreamer.eval(), "tdmpc2": td.eval(), "dinowm": dino.eval()}


@pytest.mark.parametrize("name", ["dreamerv3", "tdmpc2", "dinowm"])
def test_every_algorithm_is_measured(name: str):
    model = _models()[name]
    dynamics, calibration = _measured(model)
    own = {"dreamerv3": "kl"}.get(name, "latent_mse")
    assert set(dynamics.metric) == {own, "state_nmse", "embedding_nmse"}
    assert np.isfinite(dynamics.value).all() and (dynamics.value >= 0).all()
    assert len(calibration.n) == len(HELD) * 2 * len(LEVELS)
    assert (calibration.inside <= calibration.n).all() and (calibration.width > 0).all()
    if name != "dreamerv3":  # one step ahead and filtering are the same prediction of the reward, so the same interval
        ahead = _measured(model, horizon=1)[1]
        np.testing.assert_allclose(ahead.width[ahead.horizon == 0], ahead.width[ahead.horizon == 1], rtol=1e-4)


@pytest.mark.parametrize("name", ["dreamerv3", "tdmpc2", "dinowm"])
def test_quantiles_of_a_head_that_is_certain_lie_around_what_it_expects(name: str):
    model = _models()[name]
    head = model.reward if isinstance(model, TDMPC2) else model.reward_head
    last = [module for module in head.modules() if isinstance(module, torch.nn.Linear)][-1]
    last.weight.data.zero_()
    last.bias.data.fill_(-50.0)[len(last.bias) // 2 + 5] = 50.0
    rows = _rows()
    filtered = filter_episodes(model, DATA, rows, HELD)
    with torch.no_grad():
        low, high = model.reward_quantiles(filtered.states, torch.tensor([0.025, 0.975])).unbind(-1)
        expected = model.expected_reward(filtered.states)
    assert (low < expected).all() and (expected < high).all() and (high - low < 1.5).all()


def test_latent_error_of_dinowm_is_that_of_the_frame_arrived_at():
    model = _models()["dinowm"]
    rows = _rows()
    filtered = filter_episodes(model, DATA, rows, HELD)
    assert isinstance(model, DinoWm)
    with torch.no_grad():
        before, after = (type(filtered.states)(*(part[:, t] for part in filtered.states)) for t in (1, 2))
        torch.testing.assert_close(last_tokens(after), model.embed(rows.observation[filtered.index[:, 2]]))
        predicted, _ = model.step(before, filtered.action[:, 2])
        error = model.latent_error(model.imagine_step(before, filtered.action[:, 2], sample=False), after)
    torch.testing.assert_close(error, (predicted - last_tokens(after)).square().mean((-2, -1)))
