"""TD-MPC2's world model: its networks, its losses against loops, its sizes, and that it learns."""

import json
from dataclasses import replace

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import nn

from datasets.errors import UserError
from tests.synthetic import make_trajectories
from trainers.tdmpc2.config import PUBLISHED, TAU, Config, Scales, Settings, Sizes
from trainers.tdmpc2.encoder import shifted
from trainers.tdmpc2.ensemble import Ensemble
from trainers.tdmpc2.losses import cut, model_loss
from trainers.tdmpc2.maths import regression_loss, regression_mean
from trainers.tdmpc2.model import TDMPC2, State
from trainers.update import Rules, Single, Split
from trainers.worldmodel import Batch

SMALL = Settings(Sizes(encoder=32, encoder_layers=2, latent=32, mlp=32, q=3, channels=8))
VECTOR = Config("vector", (5,), 2, SMALL)
PIXELS = Config("pixels", (48, 48, 3), 2, SMALL)
H = 3


def _model(config: Config, seed: int = 0) -> TDMPC2:
    torch.manual_seed(seed)
    return TDMPC2(config)


def _batch(config: Config, b: int = 4, first: bool = False) -> Batch:
    length = H + config.settings.frames
    size = (b, length, *config.observation_shape)
    seen = torch.randint(0, 256, size, dtype=torch.uint8) if config.kind == "pixels" else torch.randn(size)
    is_first = torch.zeros(b, length, dtype=torch.bool)
    is_first[:, 0] = first
    return Batch(seen, 2 * torch.rand(b, length, 2) - 1, torch.rand(b, length), is_first, torch.rand(b, length) < 0.2)


def _learn(model: TDMPC2, batches, rate: float = 1e-3) -> dict[str, float]:
    """One update on each batch as the offline loop makes them, without clipping; the last metrics."""
    update = Single(model, 0, Rules(clip=float("inf")), torch.device("cpu"), Split())
    for batch in batches:
        made = update([batch], rate)
    return dict(zip(update.names, made[0].tolist(), strict=True))


def _steps(batch: Batch):
    """Rollouts of windows that do not begin with their episode: nothing in them is random."""
    return cut(batch, 3, torch.zeros(len(batch.reward), dtype=torch.int64))


def _r2(true: np.ndarray, predicted: np.ndarray) -> float:
    return float(1 - ((true - predicted) ** 2).mean() / true.var())


def test_an_ensemble_is_as_many_separate_networks():
    torch.manual_seed(0)
    ensemble = Ensemble(3, 7, 16, 11)
    for parameter in ensemble.parameters():
        parameter.data.normal_()
    x = torch.randn(2, 4, 7)
    made = ensemble(x)
    torch.testing.assert_close(ensemble.some(x, torch.tensor([2, 0])), made[[2, 0]])
    assert made.shape == (3, 2, 4, 11)
    for k in range(3):
        y = x
        for layer, norm in ((ensemble.first, ensemble.first_norm), (ensemble.second, ensemble.second_norm)):
            single, ln = nn.Linear(*layer.weight.shape[1:]), nn.LayerNorm(layer.weight.shape[2])
            single.load_state_dict({"weight": layer.weight[k].T, "bias": layer.bias[k, 0]})
            ln.load_state_dict({"weight": norm.scale[k, 0], "bias": norm.shift[k, 0]})
            y = F.mish(ln(single(y)))
        torch.testing.assert_close(made[k], y @ ensemble.last.weight[k] + ensemble.last.bias[k, 0], rtol=1e-4, atol=1e-4)


def test_members_drop_units_of_their_own():
    ensemble = Ensemble(2, 7, 64, 11)
    nn.init.normal_(ensemble.last.weight)
    for own in (ensemble.first, ensemble.second, ensemble.last):
        own.weight.data[1] = own.weight.data[0]
    x = torch.randn(4, 7)
    torch.testing.assert_close(*ensemble(x))
    kept = (torch.rand(2, 4, 64, generator=torch.Generator().manual_seed(0)) > 0.5).float() * 2
    one, two = ensemble(x, kept)
    assert not torch.allclose(one, two)
    torch.testing.assert_close(one, ensemble(x, kept[:1].expand(2, -1, -1))[1])


def test_about_one_unit_in_a_hundred_is_dropped_and_the_mean_stays():
    noise = _model(VECTOR).draw(64, H + 3, torch.Generator().manual_seed(0))
    for kept in (noise.kept, noise.policy_kept):
        assert (kept == 0).float().mean() == pytest.approx(0.01, abs=0.003)
        assert kept.mean() == pytest.approx(1.0, abs=0.003)


@pytest.mark.parametrize("config", [VECTOR, PIXELS], ids=["vector", "frames"])
def test_every_parameter_learns_from_the_loss_that_is_its_own(config: Config):
    model = _model(config)
    nn.init.normal_(model.q.last.weight, std=0.1)  # zero at first: what lies below it would have no gradient
    nn.init.normal_(model.reward[-1].weight, std=0.1)
    owned = {of: [id(p) for group in groups for p in group.parameters] for of, groups in model.groups().items()}
    everything = owned["model"] + owned["policy"]
    assert sorted(everything) == sorted(id(p) for p in model.parameters() if p.requires_grad)
    batch, noise, carried = _batch(config), model.draw(4, H + 3), ()
    for of in model.groups():
        model.zero_grad()
        loss = model.minimised(of, batch, noise, carried)
        carried = loss.carried
        loss.value.backward()
        reached = {id(p) for p in model.parameters() if p.grad is not None and p.grad.abs().sum() > 0}
        assert reached == set(owned[of])
        assert all(value.shape == () and not value.requires_grad for value in loss.metrics.values())


def test_latents_lie_on_simplices_and_an_untrained_model_predicts_no_reward():
    model = _model(VECTOR).eval()
    latent = model.encode(torch.randn(7, 3, 5))
    for z in (latent, model.next(latent, torch.randn(7, 2))):
        torch.testing.assert_close(z.unflatten(-1, (4, 8)).sum(-1), torch.ones(7, 4))
    assert model.expected_reward(State(latent, latent, torch.randn(7, 2))).abs().max() < 1e-4


def test_rollouts_begin_where_enough_rows_are_known_or_with_the_episode():
    batch, anywhere = _batch(VECTOR, b=64), torch.randint(3, (64,))
    steps = cut(batch, 3, anywhere)
    assert steps.observation.shape == (H + 1, 64, 3, 5)
    for t in range(H + 1):
        assert torch.equal(steps.observation[t], batch.observation[:, t : t + 3])
    assert torch.equal(steps.reward, batch.reward[:, 3:].T)  # that arrives with the row an action leads to
    assert torch.equal(steps.action, batch.action[:, 3:].transpose(0, 1))
    batch = _batch(VECTOR, b=64, first=True)
    steps = cut(batch, 3, anywhere)
    starts = (steps.reward[0][:, None] == batch.reward[:, 1:4]).long().argmax(1)  # row of the first observation
    assert starts.tolist() == anywhere.tolist()
    assert set(starts.tolist()) == {0, 1, 2}
    for b, start in enumerate(starts.tolist()):
        shown = [max(start - lag, 0) for lag in (2, 1, 0)]
        assert torch.equal(steps.observation[0, b], batch.observation[b, shown])


def test_the_models_loss_is_what_a_loop_over_steps_and_members_gives():
    scales = Scales(consistency=2.0, reward=0.7, value=0.3, rho=0.6)
    model = _model(replace(VECTOR, settings=replace(SMALL, discount=0.9, loss=scales))).eval()
    for name in ("q", "target"):
        nn.init.normal_(getattr(model, name).last.weight, std=0.3)
    batch = _batch(VECTOR)
    noise = model.draw(4, H + 3)
    noise = noise._replace(kept=torch.ones_like(noise.kept))
    total, latents, metrics = model_loss(model, batch, noise)
    steps = _steps(batch)
    seen = model.encode(steps.observation[1:])
    action = model.policy(seen, noise.next_action).action
    inputs = torch.cat([seen, action], -1)
    one, two = noise.target_pair.tolist()
    z = model.encode(steps.observation[0])
    found = {"consistency": 0.0, "reward": 0.0, "value": 0.0}
    for t in range(H):
        after = model.next(z, steps.action[t])
        first, second = (regression_mean(model.target(inputs)[k, t], model.bins) for k in (one, two))
        target = steps.reward[t] + 0.9 * (1 - steps.terminal[t].float()) * torch.minimum(first, second)
        errors = [regression_loss(q, target.detach(), model.bins).mean() for q in model.value_logits(z, steps.action[t])]
        found["consistency"] += 0.6**t * F.mse_loss(after, seen[t]).item() / H
        found["reward"] += (
            0.6**t * regression_loss(model.reward_logits(z, steps.action[t]), steps.reward[t], model.bins).mean().item() / H
        )
        found["value"] += 0.6**t * sum(e.item() for e in errors) / (3 * H)
        torch.testing.assert_close(latents[t], z.detach())
        z = after
    for name, value in found.items():
        assert metrics[f"{name}_loss"].item() == pytest.approx(value, rel=1e-4), name
    assert total.item() == pytest.approx(2 * found["consistency"] + 0.7 * found["reward"] + 0.3 * found["value"], rel=1e-4)


def test_consistency_does_not_pull_on_what_is_predicted():
    """The encoder learns from a rollout's first observation alone; those after it are targets."""
    model, batch = _model(VECTOR), _batch(VECTOR)
    batch.observation.requires_grad_()
    torch.manual_seed(0)
    model_loss(model, batch, model.draw(*batch.reward.shape))[0].backward()
    reached = batch.observation.grad.abs().sum((0, 2)) > 0
    assert reached.tolist() == [True] * 3 + [False] * H


def test_the_target_follows_the_q_functions_and_the_scale_the_values():
    model = _model(VECTOR)
    nn.init.normal_(model.target.last.weight, std=0.3)
    before = {name: value.clone() for name, value in model.target.state_dict().items()}
    _learn(model, [_batch(VECTOR)])
    for name, own in model.q.state_dict().items():
        torch.testing.assert_close(model.target.state_dict()[name], (1 - TAU) * before[name] + TAU * own)
    assert model.scale.item() == pytest.approx(1.0)  # the spread of all-zero values counts as one


def test_published_sizes_have_the_published_number_of_parameters():
    """Those of arXiv 2310.16828 are at mt80's inputs: 39 observed, 6 actions, a task embedding of 96 beside both."""
    published = {"1m": (1, 0.5), "5m": (5, 0.1), "19m": (19, 0.02), "48m": (48, 0.025), "317m": (317, 0.01)}
    for name, (millions, tolerance) in published.items():
        with torch.device("meta"):
            model = TDMPC2(Config("vector", (39 + 96,), 6 + 96, Settings(PUBLISHED[name], frames=1)))
        count = sum(p.numel() for p in model.parameters() if p.requires_grad) / 1e6
        assert count == pytest.approx(millions, rel=tolerance), name
    with torch.device("meta"):
        single = TDMPC2(Config("vector", (223,), 38, Settings(PUBLISHED["5m"], frames=1)))  # upstream's default task, dog-run
    assert sum(p.numel() for p in single.parameters() if p.requires_grad) / 1e6 == pytest.approx(5, rel=0.04)


@pytest.mark.parametrize("side", [39, 64, 84])
def test_frames_of_any_side_are_read(side: int):
    model = _model(replace(PIXELS, observation_shape=(side, side, 3))).eval()
    frames = torch.randint(0, 256, (2, 4, 3, side, side, 3), dtype=torch.uint8)
    assert model.encode(frames).shape == (2, 4, 32)
    torch.testing.assert_close(model.encode(frames[1]), model.encode(frames)[1])


def test_at_64_pixels_the_published_5m_has_upstreams_convolutions_and_nothing_else():
    model = TDMPC2(Config("pixels", (64, 64, 3), 2, Settings(PUBLISHED["5m"])))
    assert [tuple(p.shape) for p in model.encoder.parameters() if p.ndim > 1] == [
        (32, 9, 7, 7), (32, 32, 5, 5), (32, 32, 3, 3), (32, 32, 3, 3)
    ]  # fmt: skip


def test_frames_too_small_for_the_convolutions_are_refused():
    with pytest.raises(UserError, match=r"at least 39 pixels a side, frames are \(38, 38, 3\)"):
        TDMPC2(replace(PIXELS, observation_shape=(38, 38, 3)))


def test_training_frames_are_moved_together_and_keep_their_edges():
    frames = torch.arange(12 * 10, dtype=torch.uint8).view(1, 1, 12, 10, 1).repeat(50, 3, 1, 1, 1)
    moved = shifted(frames, 3, torch.randint(7, (50, 2), generator=torch.Generator().manual_seed(0)))
    assert torch.equal(moved[:, 0], moved[:, 2])
    padded = F.pad(frames[0, 0].permute(2, 0, 1).float(), (3, 3, 3, 3), "replicate")[0].to(torch.uint8)
    windows = {(y, x): padded[y : y + 12, x : x + 10] for y in range(7) for x in range(7)}
    found = [next(at for at, w in windows.items() if torch.equal(w, frame)) for frame in moved[:, 0, ..., 0]]
    assert len(set(found)) > 20


def test_frames_that_are_not_moved_are_read_as_they_are():
    model, frames = _model(PIXELS), torch.randint(0, 256, (2, 3, 48, 48, 3), dtype=torch.uint8)
    still = torch.full((2, 2), 3)
    torch.testing.assert_close(model.encode(frames), model.encode(frames, still))
    assert not torch.allclose(model.encode(frames), model.encode(frames, still + 1))


def test_vectors_are_standardised_by_dimension_whatever_their_units():
    units, offset = torch.tensor([1.0, 50.0, 8.0, 3.0, 2.0]), torch.tensor([0.0, 1000.0, -3.0, 0.1, 4.0])
    plain, scaled, rows = _model(VECTOR), _model(VECTOR), torch.randn(500, 5)
    plain.standardise(rows)
    scaled.standardise(rows * units + offset)
    x = torch.randn(4, 3, 5)
    torch.testing.assert_close(scaled.encode(x * units + offset), plain.encode(x), rtol=1e-3, atol=1e-4)


def test_a_configuration_survives_json():
    config = Config("pixels", (64, 64, 3), 6, Settings(PUBLISHED["1m"], frames=2, loss=Scales(rho=0.7)))
    assert Config.from_json(json.loads(json.dumps(config.to_json()))) == config


def test_it_overfits_a_handful_of_windows():
    model, batch = _model(VECTOR), _batch(VECTOR, b=6)
    metrics = _learn(model, [batch] * 300, rate=3e-3)
    steps = _steps(batch)
    model.eval()
    with torch.no_grad():
        z, predicted = model.encode(steps.observation[0]), []
        for action in steps.action:
            predicted.append(model.expected_reward(State(z, z, action)))
            z = model.next(z, action)
    assert _r2(steps.reward.numpy(), torch.stack(predicted).numpy()) > 0.95
    assert metrics["policy_scale"] >= 1


def test_it_predicts_reward_of_episodes_it_has_not_seen_and_worse_the_further_ahead():
    data = make_trajectories(episodes=64, length=21, validation=16, observation=2)
    arrays = (data.observation, data.action, data.reward, data.is_first, data.is_terminal)
    episodes = [torch.from_numpy(a).unflatten(0, (64, 21)) for a in arrays]
    model = _model(Config("vector", (2,), 1, SMALL))
    model.standardise(episodes[0][:48].flatten(0, 1))
    draws = torch.Generator().manual_seed(0)

    def batch() -> Batch:
        chosen, start = torch.randint(48, (64,), generator=draws), torch.randint(-2, 16, (64,), generator=draws).clamp(min=0)
        at = start[:, None] + torch.arange(H + 3)
        return Batch(*(values[chosen[:, None], at] for values in episodes))

    _learn(model, (batch() for _ in range(300)), rate=3e-3)
    model.eval()
    observation, action, reward, is_first, _ = (values[48:] for values in episodes)
    index = torch.arange(16 * 21).view(16, 21)
    with torch.no_grad():
        state = model.filter(observation.flatten(0, 1), index, action, is_first)
        filtered = model.expected_reward(state)[:, 1:]
        ahead = []
        for h in range(1, 13):
            starts = State(*(part[:, : 21 - h].flatten(0, 1) for part in state))
            for step in range(h):
                led = action[:, step + 1 : 21 - h + step + 1].flatten(0, 1)
                starts = model.imagine_step(starts, led)
            ahead.append(_r2(reward[:, h:].flatten().numpy(), model.expected_reward(starts).numpy()))
    assert _r2(reward[:, 1:].numpy(), filtered.numpy()) > 0.7
    assert ahead[0] == pytest.approx(_r2(reward[:, 1:].flatten().numpy(), filtered.flatten().numpy()), abs=1e-5)
    assert ahead[0] > ahead[3] > ahead[11]
