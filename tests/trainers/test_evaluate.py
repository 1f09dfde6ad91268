"""Reward prediction on held-out episodes: which rows there are, and that batching changes none of them."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from datasets.embeddings import Embeddings
from datasets.episodes import Trajectories
from tests.synthetic import make_trajectories
from trainers.data import Rows, load_rows
from trainers.evaluate import Predictions, filter_episodes, predict_rewards, sample_latents
from trainers.models import Model
from trainers.tdmpc2.config import Config, Settings, Sizes
from trainers.tdmpc2.model import TDMPC2
from trainers.worldmodel import ModelConfig, WorldModel

DREAMER = ModelConfig("vector", (5,), 1, deter=16, hidden=16, stoch=4, classes=4, blocks=4, units=16)
TD = Config("vector", (5,), 1, Settings(Sizes(encoder=16, encoder_layers=2, latent=16, mlp=16, q=2)))
HORIZON, LONG = 3, 2


def _uneven() -> Trajectories:
    """Episodes of 12, 7 and 9 rows, the last two held out, and one of 2 rows."""
    data = make_trajectories(episodes=1, length=30)
    ends = np.array([12, 19, 28, 30])
    is_first = np.zeros(30, bool)
    is_first[[0, 12, 19, 28]] = True
    return replace(
        data, episode_ends=ends, is_first=is_first, quality=["random", "expert", "random", "medium"],
        seed=np.arange(4), validation=np.array([False, True, True, True]), variant=[],
    )  # fmt: skip


DATA = _uneven()
EPISODES = DATA.episodes(validation=True)


@pytest.fixture(scope="module", params=["dreamerv3", "tdmpc2"])
def model(request: pytest.FixtureRequest) -> Model:
    torch.manual_seed(0)
    made = WorldModel(DREAMER) if request.param == "dreamerv3" else TDMPC2(TD)
    head = made.reward_head if isinstance(made, WorldModel) else made.reward
    for parameter in head.parameters():  # zero-initialised: without this every prediction would be 0
        parameter.data += 0.1 * torch.randn_like(parameter)
    return made.eval()


def _rows(data: Trajectories = DATA, values: np.ndarray | None = None) -> Rows:
    values = data.observation if values is None else values
    return load_rows(data, Embeddings(values, {"rows": [[0, len(values)]]}), list(range(len(data.episode_ends))))


def _predict(model: Model, rows: Rows | None = None, horizon: int = HORIZON, long: int = LONG) -> Predictions:
    return predict_rewards(model, filter_episodes(model, DATA, rows or _rows(), EPISODES), horizon, long)


def _keys(made: Predictions) -> list[tuple[int, int, int]]:
    return list(zip(made.episode.tolist(), made.t.tolist(), made.horizon.tolist(), strict=True))


def test_every_horizon_of_every_start_is_there_once(model: Model):
    expected = set()
    for episode in EPISODES:
        length = DATA.rows_of(episode).stop - DATA.rows_of(episode).start
        expected |= {(episode, t, 0) for t in range(1, length)}
        expected |= {(episode, t, h) for h in range(1, HORIZON + 1) for t in range(h, length)}
        for start in (i * length // LONG for i in range(LONG)):
            expected |= {(episode, t, t - start) for t in range(start + HORIZON + 1, length)}
    keys = _keys(_predict(model))
    assert keys == sorted(expected)


def test_no_long_starts_leaves_the_short_horizons(model: Model):
    assert _predict(model, long=0).horizon.max() == HORIZON
    assert set(_predict(model, horizon=0, long=0).horizon.tolist()) == {0}


def test_true_rewards_are_those_of_the_predicted_step(model: Model):
    made = _predict(model)
    rows = DATA.episode_starts[made.episode] + made.t
    np.testing.assert_array_equal(made.reward, DATA.reward[rows])
    assert not DATA.is_first[rows].any()


def test_predictions_equal_one_episode_one_start_at_a_time(model: Model):
    rows = _rows()
    expected = {}
    for episode in EPISODES:
        part = DATA.rows_of(episode)
        observation, action, is_first = (v[part] for v in (rows.observation, rows.action, rows.is_first))
        for t in range(len(action)):
            seen = slice(t + 1)
            states = model.filter(observation[seen], torch.arange(t + 1)[None], action[None, seen], is_first[None, seen])
            ahead = type(states)(*(values[:, -1] for values in states))
            expected[episode, t, 0] = model.expected_reward(ahead).item()
            for h in range(1, len(action) - t):
                ahead = model.imagine_step(ahead, action[t + h : t + h + 1], sample=False)
                expected[episode, t + h, h] = model.expected_reward(ahead).item()
    made = _predict(model)
    np.testing.assert_allclose(made.reward_pred, [expected[key] for key in _keys(made)], rtol=1e-4, atol=1e-3)


def test_open_loop_sees_nothing_after_its_context(model: Model):
    episode, context = EPISODES[0], 3
    seen = DATA.rows_of(episode).start + context
    values = DATA.observation.copy()
    values[seen + 1 : DATA.rows_of(episode).stop] += 5
    before, after = _predict(model), _predict(model, _rows(values=values))
    same = (before.episode != episode) | (before.t - before.horizon <= context)
    np.testing.assert_array_equal(before.reward_pred[same], after.reward_pred[same])
    assert (before.reward_pred[~same] != after.reward_pred[~same]).any()


def test_equal_inputs_give_equal_predictions_bit_for_bit(model: Model):
    first, second = _predict(model), _predict(model)
    assert all(np.array_equal(a, b) for a, b in zip(first, second, strict=True))


def test_latents_are_filtered_features_of_steps_that_have_a_reward(model: Model):
    filtered = filter_episodes(model, DATA, _rows(), EPISODES)
    every = sample_latents(model, filtered, 1000)
    assert len(every.t) == 6 + 8 + 1
    assert every.t.min() == 1
    assert set(every.episode.tolist()) == set(EPISODES)
    few = sample_latents(model, filtered, 5)
    expected = model.feature(type(filtered.states)(*(values[0, 1] for values in filtered.states)))
    assert few.feature.shape == (5, len(expected))
    assert few.feature.dtype == np.float16
    np.testing.assert_allclose(every.feature[0], expected.numpy(), atol=1e-3)


def test_filtering_reads_the_rows_own_observation_where_the_reward_does(model: Model):
    """DreamerV3's reward is that of a state, TD-MPC2's that of a transition, which the observation it leads to is no part of."""
    episode, t = EPISODES[0], 3
    values = DATA.observation.copy()
    values[DATA.rows_of(episode).start + t] += 5
    before, after = _predict(model), _predict(model, _rows(values=values))
    here = (before.episode == episode) & (before.t == t)
    unmoved = (before.reward_pred == after.reward_pred)[here]
    assert unmoved.tolist() == [isinstance(model, TDMPC2), True, True, True]
    if isinstance(model, TDMPC2):
        filtering, one_ahead = before.reward_pred[here][:2]
        assert filtering == pytest.approx(one_ahead, rel=1e-4)
