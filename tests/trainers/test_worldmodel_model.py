"""The world model as a whole: shapes, its loss, standardisation, and that it learns."""

import json

import numpy as np
import pytest
import torch

from tests.synthetic import make_trajectories
from trainers.worldmodel import Batch, LossScales, ModelConfig, WorldModel

VECTOR = ModelConfig("vector", (5,), 1, deter=32, hidden=32, stoch=4, classes=6, blocks=4, units=32)
PIXELS = ModelConfig("pixels", (64, 64, 3), 1, deter=32, hidden=32, stoch=4, classes=6, blocks=4, units=32)
WIDE = ModelConfig("pixels", (36, 50, 3), 1, deter=32, hidden=32, stoch=4, classes=6, blocks=4, units=32)


def _model(config: ModelConfig, seed: int = 0) -> WorldModel:
    torch.manual_seed(seed)
    return WorldModel(config)


def _observation(config: ModelConfig, *shape: int) -> torch.Tensor:
    size = (*shape, *config.observation_shape)
    return torch.randint(0, 256, size, dtype=torch.uint8) if config.kind == "pixels" else torch.randn(size)


def _batch(config: ModelConfig, b: int = 3, length: int = 5) -> Batch:
    flags = torch.zeros(b, length, dtype=torch.bool)
    return Batch(_observation(config, b, length), torch.rand(b, length, 1), torch.rand(b, length), flags, flags.clone())


@pytest.mark.parametrize("config", [VECTOR, PIXELS, WIDE], ids=["vector", "square frames", "frames of odd sides"])
def test_shapes(config: ModelConfig):
    model, batch = _model(config), _batch(config)
    loss, states, metrics = model.loss(batch)
    assert loss.shape == ()
    assert (states.deter.shape, states.stoch.shape) == ((3, 5, 32), (3, 5, 4, 6))
    assert all(value.shape == () and not value.requires_grad for value in metrics.values())
    feature = model.feature(states)
    assert feature.shape == (3, 5, model.feature_dim)
    assert model.reward(feature).shape == model.continuation(feature).shape == (3, 5)
    state = model.observe_step(model.initial(3), batch.observation[:, 0], batch.action[:, 0], batch.is_first[:, 0])
    assert model.imagine_step(state, batch.action[:, 1]).deter.shape == (3, 32)
    loss.backward()
    unused = [name for name, parameter in model.named_parameters() if parameter.grad is None]
    assert unused == []


def test_an_untrained_model_predicts_no_reward():
    model = _model(VECTOR)
    assert model.reward(torch.randn(7, model.feature_dim)).tolist() == [0.0] * 7


def test_a_windows_first_row_counts_as_an_episodes_first():
    model, batch = _model(VECTOR), _batch(VECTOR)
    embed = model.embed(batch.observation)
    flagged = batch.is_first.clone()
    flagged[:, 0] = True
    first = model.observe(embed, batch.action, flagged, model.initial(3), sample=False)
    made = model.observe(embed, batch.action, batch.is_first, sample=False)
    assert torch.equal(first.states.deter, made.states.deter)


def test_a_given_state_is_carried_on():
    model, batch = _model(VECTOR), _batch(VECTOR, length=6)
    embed = model.embed(batch.observation)
    whole = model.observe(embed, batch.action, batch.is_first, sample=False).states
    head = model.observe(embed[:, :3], batch.action[:, :3], batch.is_first[:, :3], sample=False).states
    state = type(head)(head.deter[:, -1], head.stoch[:, -1])
    tail = model.observe(embed[:, 3:], batch.action[:, 3:], batch.is_first[:, 3:], state, sample=False).states
    torch.testing.assert_close(tail.deter, whole.deter[:, 3:])


def test_the_loss_is_the_weighted_sum_of_its_terms():
    scales = LossScales(prediction=0.5, reward=3.0, continue_=2.0, dynamics=0.7, representation=0.2)
    model = _model(ModelConfig(**{**VECTOR.__dict__, "loss": scales}))
    loss, _, m = model.loss(_batch(VECTOR))
    expected = (
        0.5 * m["prediction_loss"] + 3 * m["reward_loss"] + 2 * m["continue_loss"]
        + 0.7 * m["dynamics_loss"] + 0.2 * m["representation_loss"]
    )  # fmt: skip
    torch.testing.assert_close(loss.detach(), expected)
    assert m["reward_loss"].item() == pytest.approx(np.log(255), rel=1e-3)  # zero-initialised head, uniform over the bins


def test_the_same_seed_gives_the_same_loss_bit_for_bit():
    losses = []
    for _ in range(2):
        model = _model(VECTOR)
        torch.manual_seed(3)
        losses.append(model.loss(_batch(VECTOR))[0])
    assert torch.equal(*losses)


def test_vectors_are_standardised_by_dimension_whatever_their_units():
    rows = torch.randn(500, 5) * torch.tensor([1.0, 50.0, 8.0, 3.0, 0.0]) + torch.tensor([0.0, 1000.0, -3.0, 0.1, 4.0])
    model = _model(VECTOR)
    model.standardise(rows)
    prepared = model.observation.prepare(rows)
    undone = torch.sign(prepared) * torch.expm1(prepared.abs())
    torch.testing.assert_close(undone.mean(0), torch.zeros(5), atol=1e-4, rtol=0)
    torch.testing.assert_close(undone.std(0)[:4], torch.ones(4), atol=0.02, rtol=0)
    assert undone[:, 4].abs().max() == 0  # a constant dimension stays finite, and silent


def test_frames_are_read_as_they_are_and_reconstructed_in_units_of_their_own_contrast():
    brightness = torch.arange(100, 140, dtype=torch.uint8)
    frames = brightness[:, None, None, None].expand(40, 64, 64, 3)
    model = _model(PIXELS)
    model.standardise(frames)
    prepared = model.observation.prepare(frames)
    torch.testing.assert_close(prepared, frames.float() / 255 - 0.5)
    torch.nn.init.zeros_(model.observation.decoder.last.weight)  # a decoder that says nothing but the mean frame
    error = model.observation.error(torch.randn(40, model.feature_dim), prepared)
    expected = ((brightness.double() - brightness.double().mean()) / brightness.double().std(correction=0)) ** 2 * 16 * 16 * 3
    torch.testing.assert_close(error.double(), expected, rtol=1e-4, atol=1e-2)


def test_standardisation_travels_with_the_weights():
    model, other = _model(VECTOR), _model(VECTOR, seed=1)
    model.standardise(10 + 3 * torch.randn(100, 5))
    other.load_state_dict(model.state_dict())
    x = torch.randn(2, 5)
    assert torch.equal(model.embed(x), other.embed(x))


def test_a_configuration_survives_json():
    config = ModelConfig("pixels", (64, 64, 3), 6, loss=LossScales(reward=2.0))
    assert ModelConfig.from_json(json.loads(json.dumps(config.to_json()))) == config


def test_it_learns_to_predict_reward_of_episodes_it_has_not_seen():
    data = make_trajectories(episodes=200, length=21, validation=40)
    arrays = (data.observation, data.action, data.reward, data.is_first, data.is_terminal)
    windows = [torch.from_numpy(a).unflatten(0, (200, 21)) for a in arrays]
    model = _model(ModelConfig("vector", (5,), 1, deter=64, hidden=64, stoch=8, classes=8, units=64))
    model.standardise(windows[0][:160].flatten(0, 1))
    optimiser = torch.optim.Adam(model.parameters(), 3e-3)
    torch.manual_seed(0)
    for _ in range(250):
        chosen = torch.randint(160, (16,))
        loss, _, _ = model.loss(Batch(*(values[chosen] for values in windows[:5])))
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
    held_out = Batch(*(values[160:] for values in windows[:5]))
    with torch.no_grad():
        states = model.observe(model.embed(held_out.observation), held_out.action, held_out.is_first, sample=False).states
        predicted = model.reward(model.feature(states))[:, 1:]
    true = held_out.reward[:, 1:]
    assert 1 - (predicted - true).square().mean() / true.var() > 0.7
