"""Recordings of imagined rollouts: what is found is what brute force finds, never in the same episode, and truth finds itself."""

from dataclasses import replace
from typing import NamedTuple

import numpy as np
import pytest
import torch
from torch import Tensor

from datasets.embeddings import Embeddings
from datasets.episodes import Trajectories
from tests.synthetic import make_trajectories
from trainers.data import Rows, load_rows
from trainers.dinowm.config import Config as DinoWmConfig
from trainers.dinowm.config import Settings as DinoWmSettings
from trainers.dinowm.model import DinoWm, last_tokens
from trainers.evaluate import chosen, filter_episodes, predict_rewards
from trainers.models import Predictor
from trainers.recording import record as recording
from trainers.recording.nearest import Known, nearest
from trainers.recording.record import Recording, record
from trainers.recording.spaces import space_of
from trainers.tdmpc2.config import Config, Settings, Sizes
from trainers.tdmpc2.model import TDMPC2
from trainers.worldmodel import ModelConfig, WorldModel
from trainers.worldmodel.losses import symlog

DATA = make_trajectories(episodes=8, length=41, validation=3)
EPISODE = DATA.episodes(validation=True)[1]
EVERY = list(range(len(DATA.episode_ends)))
DREAMER = ModelConfig("vector", (5,), 1, deter=16, hidden=16, stoch=4, classes=4, blocks=4, units=16)
FRAMES = np.random.default_rng(0).integers(0, 256, (len(DATA.reward), 16, 16, 3), np.uint8)
TD = Settings(Sizes(encoder=16, encoder_layers=2, latent=16, mlp=16, q=2))
MODELS = {
    "embedding": lambda: WorldModel(DREAMER),
    "frame": lambda: WorldModel(replace(DREAMER, kind="pixels", observation_shape=(16, 16, 3))),
    "latent": lambda: WorldModel(replace(DREAMER, decoder="none")),
    "latent of pixels beside embeddings": lambda: WorldModel(replace(DREAMER, decoder="pixels")),
    "latent of tdmpc2": lambda: TDMPC2(Config("vector", (5,), 1, TD)),
    "tokens": lambda: DinoWm(DinoWmConfig((5,), 1, None, DinoWmSettings(3, 4, 1, 2, 8, 16, 1.0))),
}  # fmt: skip


def _rows(frames: bool = False, data: Trajectories = DATA) -> Rows:
    values = FRAMES if frames else data.observation
    return load_rows(data, Embeddings(values, {"rows": [[0, len(values)]]}), EVERY)


def _record(
    model: Predictor, rows: Rows, episode: int = EPISODE, among: list[int] = EVERY, data: Trajectories = DATA
) -> Recording:
    return record(model, data, rows, filter_episodes(model, data, rows, data.episodes(validation=True)), episode, among)


def _brute(queries: np.ndarray, values: np.ndarray, out: int) -> tuple[np.ndarray, np.ndarray]:
    """Row and distance, over all rows but those of episode `out`."""
    apart = np.sqrt(np.square(queries[:, None].astype("float64") - values[None].astype("float64")).mean(-1))
    apart[:, DATA.rows_of(out)] = np.inf
    return apart.argmin(1), apart.min(1)


def test_the_nearest_are_those_of_brute_force_however_rows_are_handed_over():
    rng = np.random.default_rng(0)
    queries, values = (torch.from_numpy(rng.normal(size=(n, 7)).astype("float32")) for n in (50, 300))
    own, owner = (torch.from_numpy(rng.integers(0, 5, n)) for n in (50, 300))
    apart = np.square(queries.numpy()[:, None] - values.numpy()).mean(-1) ** 0.5
    apart[own.numpy()[:, None] == owner.numpy()] = np.inf
    for at_once in (1, 17, 300):
        parts = zip(*(part.split(at_once) for part in (torch.arange(300), owner, values)), strict=True)
        found = nearest(queries, own, (Known(*part) for part in parts))
        assert found.row.tolist() == apart.argmin(1).tolist()
        np.testing.assert_allclose(found.distance, apart.min(1), rtol=1e-5)


def test_what_cannot_be_found_is_said():
    values = torch.tensor([[0.0], [1.0]])
    queries = torch.tensor([[0.9], [float("nan")], [0.1]])
    known = Known(torch.tensor([4, 5]), torch.tensor([1, 1]), values)
    found = nearest(queries, torch.tensor([0, 0, 1]), [known])
    assert found.row.tolist() == [5, -1, -1] and found.distance[1:].tolist() == [np.inf, np.inf]


@pytest.mark.parametrize("kind", MODELS)
def test_a_recording_says_what_the_model_says_and_finds_what_brute_force_finds(kind: str, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(recording, "_AT_ONCE", 50)
    torch.manual_seed(0)
    model = MODELS[kind]().eval()
    rows = _rows(frames=kind == "frame")
    model.standardise(rows.observation[:200], torch.from_numpy(FRAMES[:200]))
    made = _record(model, rows)
    part = DATA.rows_of(EPISODE)
    np.testing.assert_array_equal(made.t, np.arange(1, 41))
    np.testing.assert_array_equal(made.horizon, np.maximum(made.t - 10, 0))  # a quarter of a short episode is observed
    np.testing.assert_array_equal(made.reward, DATA.reward[part][1:])
    assert set(made.space) == {kind.split()[0]}

    filtered = filter_episodes(model, DATA, rows, EVERY)
    with torch.inference_mode():
        space = space_of(model)
        all_states = chosen(filtered.states, *(filtered.index >= 0).nonzero().unbind(1))
        values = space.of_state(all_states) if space.of_row is None else space.of_row(rows.observation)
        state = chosen(filtered.states, torch.tensor([EPISODE]), torch.tensor([10]))
        said = [space.of_state(chosen(filtered.states, torch.tensor([EPISODE]), torch.tensor([t]))) for t in range(1, 11)]
        rewards = []
        for t in range(11, 41):
            state = model.imagine_step(state, rows.action[part][t : t + 1], sample=False)
            said.append(space.of_state(state))
            rewards.append(model.expected_reward(state).item())
    np.testing.assert_allclose(made.reward_pred[10:], rewards, atol=1e-5)
    for name, queries in (("", torch.cat(said)), ("true_", values[part][1:])):
        row, distance = _brute(queries.numpy(), values.numpy(), EPISODE)
        episode, t = (getattr(made, f"{name}nearest_{column}") for column in ("episode", "t"))
        at = _brute_at(queries.numpy(), values.numpy(), DATA.episode_starts[episode] + t)
        np.testing.assert_allclose(at, distance, rtol=1e-4, atol=1e-5)  # as near as the nearest; of equals either
        np.testing.assert_allclose(getattr(made, f"{name}nearest_distance"), distance, rtol=1e-4, atol=1e-5)
        assert EPISODE not in episode
        assert (DATA.episode_starts[episode] + t == row).mean() > 0.9


def _brute_at(queries: np.ndarray, values: np.ndarray, rows: np.ndarray) -> np.ndarray:
    return np.sqrt(np.square(queries.astype("float64") - values[rows].astype("float64")).mean(-1))


class _Row(NamedTuple):
    row: Tensor


class _Perfect:
    """A model that imagines exactly what happens: its state is the row, its latent what lies there."""

    def __init__(self, rows: Rows) -> None:
        self._rows = rows

    def filter_with_kl(self, observation: Tensor, index: Tensor, action: Tensor, is_first: Tensor) -> tuple[_Row, None]:
        return _Row(index), None

    def imagine_step(self, state: _Row, action: Tensor, sample: bool) -> _Row:
        return _Row(state.row + 1)

    def expected_reward(self, state: _Row) -> Tensor:
        return self._rows.reward[state.row]

    def feature(self, state: _Row) -> Tensor:
        return self._rows.observation[state.row]


def test_a_perfect_model_finds_what_truth_finds():
    rows = _rows()
    made = _record(_Perfect(rows), rows)
    np.testing.assert_array_equal(made.reward, made.reward_pred)
    for name in ("episode", "t", "distance", "state_distance"):
        np.testing.assert_array_equal(getattr(made, f"nearest_{name}"), getattr(made, f"true_nearest_{name}"))


def test_an_episode_that_repeats_another_finds_it_step_by_step_and_its_states_agree():
    values = DATA.observation.copy()
    values[DATA.rows_of(0)] = values[DATA.rows_of(EPISODE)]
    data = replace(DATA, observation=values)
    rows = _rows(data=data)
    made = _record(_Perfect(rows), rows, data=data)
    assert set(made.nearest_episode) == {0} and made.nearest_distance.max() == 0 == made.nearest_state_distance.max()
    np.testing.assert_array_equal(made.nearest_t, made.t)


def test_state_distance_is_in_standard_deviations():
    rows = _rows()
    made = _record(_Perfect(rows), rows)
    found, true = DATA.episode_starts[made.nearest_episode] + made.nearest_t, DATA.rows_of(EPISODE)
    training = DATA.observation[: DATA.rows_of(4).stop].astype("float64")  # episodes 0 to 4
    apart = (DATA.observation[found] - DATA.observation[true][1:]) / training.std(0)
    np.testing.assert_allclose(made.nearest_state_distance, np.sqrt(np.square(apart).mean(1)), rtol=1e-4)


def test_a_model_that_says_nothing_finite_finds_nothing_and_without_states_no_distance_is_known():
    data = replace(DATA, observation=np.zeros((len(DATA.reward), 0), np.float32))
    rows = _rows()
    broken = rows._replace(observation=rows.observation.clone())
    broken.observation[DATA.rows_of(EPISODE)] = float("nan")
    made = _record(_Perfect(broken), rows, data=data)
    assert set(made.nearest_episode) == set(made.nearest_t) == {-1}
    assert np.isnan(made.nearest_state_distance).all()


@pytest.mark.parametrize("kind", ["embedding", "tokens"])
def test_rows_are_compared_as_the_model_reads_them(kind: str):
    model = MODELS[kind]().eval()
    rows = _rows()
    model.standardise(rows.observation)
    seen = space_of(model).of_row(rows.observation)
    scaled = (rows.observation - model.observation.mean) / model.observation.std if kind == "embedding" else None
    expected = symlog(scaled) if scaled is not None else (rows.observation - model.mean) / model.std
    torch.testing.assert_close(seen, expected)
    if kind == "tokens":
        filtered = filter_episodes(model, DATA, rows, [EPISODE])
        torch.testing.assert_close(last_tokens(filtered.states)[0].flatten(1), seen[DATA.rows_of(EPISODE)])


def test_recording_changes_no_prediction():
    torch.manual_seed(0)
    model, rows = WorldModel(DREAMER).eval(), _rows()
    filtered = filter_episodes(model, DATA, rows, DATA.episodes(validation=True))
    before = predict_rewards(model, filtered, 3, 2)
    record(model, DATA, rows, filtered, EPISODE, EVERY)
    assert all(np.array_equal(a, b) for a, b in zip(before, predict_rewards(model, filtered, 3, 2), strict=True))
