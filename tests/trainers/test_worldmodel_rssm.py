"""The recurrent state-space model, against its equations written out step by step in numpy."""

import numpy as np
import pytest
import torch

from trainers.worldmodel import ModelConfig, State
from trainers.worldmodel.rssm import RSSM, straight_through

CONFIG = ModelConfig("vector", (5,), 2, deter=16, hidden=12, stoch=3, classes=4, blocks=4)
EMBED = 6


@pytest.fixture
def rssm() -> RSSM:
    torch.manual_seed(0)
    model = RSSM(CONFIG, EMBED)
    for parameter in model.parameters():  # biases and scales away from 0 and 1
        parameter.data += 0.1 * torch.randn_like(parameter)
    return model.eval()


def _inputs(batch: int = 3, length: int = 7) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    generator = torch.Generator().manual_seed(1)
    embed = torch.randn(batch, length, EMBED, generator=generator)
    action = 2 * torch.rand(batch, length, 2, generator=generator) - 1
    is_first = torch.zeros(batch, length, dtype=torch.bool)
    is_first[:, 0] = True
    return embed, action, is_first


def _silu_norm(x: np.ndarray, scale: np.ndarray) -> np.ndarray:
    y = x / np.sqrt((x**2).mean() + 1e-4) * scale
    return y / (1 + np.exp(-y))


def _sigmoid(x: np.ndarray) -> np.ndarray:
    return 1 / (1 + np.exp(-x))


def _reference_core(w: dict[str, np.ndarray], deter: np.ndarray, stoch: np.ndarray, action: np.ndarray) -> np.ndarray:
    """One row of DreamerV3's block GRU: every block reads its part of the state and all three projected inputs."""
    x0 = _silu_norm(w["deter_in.weight"] @ deter + w["deter_in.bias"], w["deter_norm.scale"])
    x1 = _silu_norm(w["stoch_in.weight"] @ stoch.ravel() + w["stoch_in.bias"], w["stoch_norm.scale"])
    bounded = action / np.maximum(1, np.abs(action))
    x2 = _silu_norm(w["action_in.weight"] @ bounded + w["action_in.bias"], w["action_norm.scale"])
    inputs, size = np.concatenate([x0, x1, x2]), CONFIG.deter // CONFIG.blocks
    dense = np.concatenate([w["core_state.weight"], w["core_action.weight"]], axis=1)
    hidden = np.empty(CONFIG.deter)
    for g in range(CONFIG.blocks):
        own = slice(g * size, (g + 1) * size)
        weight = np.concatenate([w["core_deter.weight"][g].T, dense[own]], axis=1)  # one block's whole matrix
        hidden[own] = weight @ np.concatenate([deter[own], inputs]) + w["core_action.bias"][own]
    hidden = _silu_norm(hidden, w["core_norm.scale"])
    new = np.empty(CONFIG.deter)
    for g in range(CONFIG.blocks):
        own = slice(g * size, (g + 1) * size)
        reset, candidate, update = np.split(hidden[own] @ w["gates.weight"][g] + w["gates_bias"][g], 3)
        update = _sigmoid(update - 1)
        new[own] = update * np.tanh(_sigmoid(reset) * candidate) + (1 - update) * deter[own]
    return new


def _reference_mode(logits: np.ndarray) -> np.ndarray:
    return np.eye(CONFIG.classes)[logits.reshape(CONFIG.stoch, CONFIG.classes).argmax(-1)]


def test_filtering_follows_the_equations(rssm: RSSM):
    w = {name: value.double().numpy() for name, value in rssm.state_dict().items()}
    embed, action, is_first = _inputs()
    is_first[1, 4] = True
    with torch.no_grad():
        made = rssm.observe(embed, action, is_first, rssm.initial(3))
    for b in range(3):
        deter, stoch = np.zeros(CONFIG.deter), np.zeros((CONFIG.stoch, CONFIG.classes))
        for t in range(7):
            given = action[b, t].double().numpy()
            if is_first[b, t]:
                deter, stoch, given = np.zeros_like(deter), np.zeros_like(stoch), np.zeros_like(given)
            deter = _reference_core(w, deter, stoch, given)
            x = w["post_deter.weight"] @ deter + w["post_embed.weight"] @ embed[b, t].double().numpy() + w["post_embed.bias"]
            logits = w["post_out.weight"] @ _silu_norm(x, w["post_norm.scale"]) + w["post_out.bias"]
            stoch = _reference_mode(logits)
            np.testing.assert_allclose(made.states.deter[b, t].numpy(), deter, atol=2e-5)
            np.testing.assert_array_equal(made.states.stoch[b, t].numpy(), stoch)
            probs = np.exp(logits.reshape(stoch.shape)) / np.exp(logits.reshape(stoch.shape)).sum(-1, keepdims=True)
            np.testing.assert_allclose(made.post_logits[b, t].exp().numpy(), 0.99 * probs + 0.01 / CONFIG.classes, atol=2e-5)


def test_step_by_step_filtering_equals_the_window(rssm: RSSM):
    embed, action, is_first = _inputs()
    is_first[2, 3] = True
    window = rssm.observe(embed, action, is_first, rssm.initial(3))
    state = State(torch.randn(3, 16), torch.randn(3, 3, 4))  # forgotten: the first row is an episode's first
    for t in range(7):
        state = rssm.observe_step(state, embed[:, t], action[:, t], is_first[:, t], sample=False)
        torch.testing.assert_close(state.deter, window.states.deter[:, t])
        assert torch.equal(state.stoch, window.states.stoch[:, t])


def test_nothing_passes_an_episode_boundary(rssm: RSSM):
    embed, action, is_first = _inputs()
    is_first[:, 4] = True
    before = rssm.observe(embed, action, is_first, rssm.initial(3))
    embed[:, :4], action[:, :5] = torch.randn(3, 4, EMBED), torch.randn(3, 5, 2)
    after = rssm.observe(embed, action, is_first, rssm.initial(3))
    assert torch.equal(before.states.deter[:, 4:], after.states.deter[:, 4:])
    assert not torch.equal(before.states.deter[:, :4], after.states.deter[:, :4])


def test_imagination_is_the_prior_of_the_same_core(rssm: RSSM):
    embed, action, is_first = _inputs()
    window = rssm.observe(embed, action, is_first, rssm.initial(3))
    before = State(window.states.deter[:, 2], window.states.stoch[:, 2])
    imagined = rssm.imagine_step(before, action[:, 3], sample=False)
    torch.testing.assert_close(imagined.deter, window.states.deter[:, 3])
    assert torch.equal(imagined.stoch.argmax(-1), window.prior_logits[:, 3].argmax(-1))


def test_actions_beyond_one_are_scaled_down(rssm: RSSM):
    state = rssm.initial(1)
    far = rssm.imagine_step(state, torch.tensor([[7.0, -30.0]]), sample=False)
    near = rssm.imagine_step(state, torch.tensor([[1.0, -1.0]]), sample=False)
    assert torch.equal(far.deter, near.deter)


def test_latent_samples_follow_their_probabilities():
    torch.manual_seed(0)
    probs = torch.tensor([0.5, 0.3, 0.15, 0.05]).expand(20_000, 4)
    drawn = straight_through(probs, torch.empty_like(probs).exponential_())
    assert torch.equal(drawn.sum(-1), torch.ones(20_000))
    np.testing.assert_allclose(drawn.mean(0).numpy(), probs[0].numpy(), atol=0.012)


def test_the_gradient_of_a_sample_is_that_of_its_probabilities():
    logits = torch.randn(5, 4, requires_grad=True)
    weight = torch.randn(5, 4)
    through = (straight_through(torch.softmax(logits, -1), torch.rand(5, 4)) * weight).sum()
    direct = (torch.softmax(logits, -1) * weight).sum()
    torch.testing.assert_close(torch.autograd.grad(through, logits), torch.autograd.grad(direct, logits))
