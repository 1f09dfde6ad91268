"""DINO-WM: causal from frame to frame, the same in one pass as step by step, and it learns dynamics and rewards."""

import numpy as np
import pytest
import torch
from torch import Tensor

from trainers.dinowm.config import Config, Settings
from trainers.dinowm.model import DinoWm, History
from trainers.dinowm.predictor import Block, Predictor
from trainers.worldmodel.types import Batch

SMALL = Settings(frames=3, action_width=4, depth=2, heads=2, head_width=8, mlp=32)


def _config(shape: tuple[int, ...] = (2, 2, 6), patch: int | None = None) -> Config:
    return Config(shape, 2, patch, SMALL)


def _model(shape: tuple[int, ...] = (2, 2, 6), patch: int | None = None) -> DinoWm:
    torch.manual_seed(0)
    model = DinoWm(_config(shape, patch))
    torch.nn.init.normal_(model.reward_head[-1].weight, std=0.1)  # zero at first, and then nothing shows
    return model


def _random(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


def test_a_block_is_attention_written_out():
    torch.manual_seed(0)
    block, x = Block(_config()), _random(2, 12, 10)
    frame = np.repeat(np.arange(3), 4)
    query, key, value = block.qkv(block.norm(x)).view(2, 12, 3, 2, 8).permute(2, 0, 3, 1, 4).double().detach().numpy()
    scores = np.einsum("nhid,nhjd->nhij", query, key) / np.sqrt(8)
    scores[:, :, frame[:, None] < frame[None]] = -np.inf
    weights = np.exp(scores) / np.exp(scores).sum(-1, keepdims=True)
    seen = np.einsum("nhij,nhjd->nihd", weights, value).reshape(2, 12, 16)
    after = x + block.out(torch.from_numpy(seen).float())
    mask = torch.from_numpy(frame[:, None] >= frame[None])
    torch.testing.assert_close(block(x, mask), after + block.mlp(after), rtol=1e-5, atol=1e-5)


def test_a_frame_sees_all_of_itself_and_of_those_before_and_none_after():
    torch.manual_seed(0)
    predictor, x = Predictor(_config()), _random(1, 12, 10)
    out = predictor(x)
    changed = x.clone()
    changed[0, 7] += _random(10, seed=1)  # the last token of the second frame
    moved = (predictor(changed) - out).abs().amax(-1)[0] > 1e-6
    assert moved.tolist() == [False] * 4 + [True] * 8


@pytest.mark.parametrize("shape", [(2, 2, 6), (6,)], ids=["tokens", "a vector"])
def test_episodes_filtered_step_by_step_are_windows_predicted_at_once(shape: tuple[int, ...]):
    model = _model(shape)
    observation, action = _random(3, 7, *shape), _random(3, 7, 2, seed=1)
    tokens = model.embed(observation)
    state = model.initial(tokens[:, 0])
    for t in range(1, 7):
        state = model.observe_step(state, tokens[:, t], action[:, t], torch.zeros(3, dtype=torch.bool))
        first = max(0, t - 3)
        _, feature = model.predict(tokens[:, first:t], action[:, first + 1 : t + 1])
        torch.testing.assert_close(state.feature, feature[:, -1])
        assert state.filled.tolist() == [min(t + 1, 3)] * 3


def test_whole_episodes_filtered_at_once_are_those_filtered_step_by_step():
    model, observation, action = _model(), _random(14, 2, 2, 6), _random(2, 7, 2, seed=1)
    index = torch.arange(14).view(2, 7)
    is_first = torch.zeros(2, 7, dtype=torch.bool)
    is_first[:, 0] = True
    with torch.no_grad():
        at_once = model.filter(observation, index, action, is_first)
        tokens = model.embed(observation[index])
        state = model.initial(tokens[:, 0])
        for t in range(1, 7):
            state = model.observe_step(state, tokens[:, t], action[:, t], is_first[:, t])
            torch.testing.assert_close(at_once.feature[:, t], state.feature)
            torch.testing.assert_close(at_once.tokens[:, t], state.tokens)
            following = (History(*(part[:, t - 1] for part in at_once)), action[:, t])
            torch.testing.assert_close(model.imagine_step(*following, sample=False).feature, at_once.feature[:, t])


def test_a_frame_is_cut_into_its_squares():
    model = _model((6, 6, 3), patch=3)
    frame = torch.arange(108, dtype=torch.uint8).view(1, 6, 6, 3)
    squares = [frame[0, i : i + 3, j : j + 3].flatten() for i in (0, 3) for j in (0, 3)]
    assert torch.equal(model._tokens(frame)[0], torch.stack(squares))
    assert model.embed(frame).shape == (1, 4, 27) and model.config.patches == 4


def test_a_rollout_feeds_predictions_back():
    model = _model()
    tokens, action = model.embed(_random(2, 2, 2, 2, 6)), _random(2, 5, 2, seed=1)
    state = model.initial(tokens[:, 0])
    state = model.observe_step(state, tokens[:, 1], action[:, 1], torch.zeros(2, dtype=torch.bool))
    known = tokens
    for t in range(2, 5):
        state = model.imagine_step(state, action[:, t], sample=False)
        first = max(0, t - 3)
        following, feature = model.predict(known[:, first:t], action[:, first + 1 : t + 1])
        torch.testing.assert_close(state.feature, feature[:, -1])
        known = torch.cat([known, following[:, -1:]], 1)


def test_a_history_begins_anew_with_an_episode():
    model = _model()
    tokens, action = model.embed(_random(2, 4, 2, 2, 6)), _random(2, 4, 2, seed=1)
    state = model.initial(tokens[:, 0])
    for t in (1, 2, 3):
        state = model.observe_step(state, tokens[:, t], action[:, t], torch.tensor([t == 3, False]))
    assert state.filled.tolist() == [1, 3]
    assert state.feature[0].eq(0).all() and torch.equal(state.tokens[0, 0], tokens[0, 3])


def test_the_loss_is_the_mean_over_pieces_of_four_frames():
    model, batch = _model(), _batch(_random(2, 9, 2, 2, 6), _random(2, 9, 2, seed=1), torch.rand(2, 9))
    total, metrics = model.loss(batch)
    tokens, errors = model.embed(batch.observation), []
    for row in range(2):
        for first in (0, 4):  # the ninth row is left over
            following, _ = model.predict(
                tokens[row : row + 1, first : first + 3], batch.action[row : row + 1, first + 1 : first + 4]
            )
            errors.append(((following - tokens[row, first + 1 : first + 4]) ** 2).mean())
    torch.testing.assert_close(metrics["prediction_loss"], torch.stack(errors).mean())
    torch.testing.assert_close(total, metrics["prediction_loss"] + metrics["reward_loss"])


def test_channels_are_standardised_whatever_their_scale():
    model, rows = _model(), _random(500, 2, 2, 6) * torch.tensor([1e-3, 1, 10, 1, 1, 1e-9]) + 5
    model.standardise(rows)
    made = model.embed(rows).flatten(0, 1)
    torch.testing.assert_close(made.mean(0), torch.zeros(6), rtol=0, atol=1e-2)
    torch.testing.assert_close(made.std(0)[1:5], torch.ones(4), rtol=0.01, atol=0)
    assert made.std(0)[5] < 1e-3  # what hardly varies is not blown up


def test_it_learns_motion_and_reward_and_errs_more_the_further_it_looks():
    """Points on circles: the action turns them, the reward is where they are."""
    generator = torch.Generator().manual_seed(0)
    action = torch.rand(64, 17, 1, generator=generator) - 0.5
    angle = torch.rand(64, 1, 1, generator=generator) * 6 + action.cumsum(1)
    observation = torch.cat([angle.cos(), angle.sin(), (2 * angle).cos()], -1)
    reward = (1 + angle.cos()[..., 0]) / 2
    torch.manual_seed(0)
    model = DinoWm(Config((3,), 1, None, Settings(frames=3, action_width=4, depth=2, heads=2, head_width=16, mlp=64)))
    model.standardise(observation)
    optimiser = torch.optim.AdamW(model.parameters(), 3e-3)
    batch = _batch(observation[:48, :16], action[:48, :16], reward[:48, :16])
    for _ in range(250):
        loss, _ = model.loss(batch)
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
    with torch.no_grad():
        held, acted, wanted = model.embed(observation[48:]), action[48:], reward[48:]
        state = model.initial(held[:, 0])
        for t in range(1, 5):
            state = model.observe_step(state, held[:, t], acted[:, t], torch.zeros(16, dtype=torch.bool))
        errors = [(model.expected_reward(state) - wanted[:, 4]).square().mean()]
        for t in range(5, 17):
            state = model.imagine_step(state, acted[:, t], sample=False)
            errors.append((model.expected_reward(state) - wanted[:, t]).square().mean())
    spread = wanted.var()
    assert errors[0] < 0.05 * spread
    assert torch.stack(errors[:3]).mean() < torch.stack(errors[-3:]).mean() < 2 * spread


def _batch(observation: Tensor, action: Tensor, reward: Tensor) -> Batch:
    flags = torch.zeros(reward.shape, dtype=torch.bool)
    return Batch(observation, action, reward, flags, flags)
