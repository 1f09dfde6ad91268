"""What a model can be configured to be: adapters, decoders, losses in place of reconstruction, named sizes."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from pipeline.sections.rssm import NAMED
from trainers.worldmodel import Batch, LossScales, ModelConfig, WorldModel
from trainers.worldmodel.alignment import barlow, infonce

VECTOR = ModelConfig("vector", (5,), 1, deter=32, hidden=16, stoch=4, classes=6, blocks=4, units=24)
PIXELS = replace(VECTOR, kind="pixels", observation_shape=(32, 32, 3))
BOTH = LossScales(infonce=0.3, barlow=0.02)


def _model(config: ModelConfig) -> WorldModel:
    torch.manual_seed(0)
    return WorldModel(config)


def _batch(config: ModelConfig) -> Batch:
    generator = torch.Generator().manual_seed(1)
    size = (3, 5, *config.observation_shape)
    frames = config.kind == "pixels"
    seen = torch.randint(256, size, generator=generator, dtype=torch.uint8) if frames else torch.randn(size, generator=generator)
    flags = torch.zeros(3, 5, dtype=torch.bool)
    return Batch(seen, torch.rand(3, 5, 1, generator=generator), torch.rand(3, 5, generator=generator), flags, flags.clone())


def test_infonce_is_the_cross_entropy_of_finding_ones_own_row():
    rng = np.random.default_rng(0)
    a, b = rng.normal(size=(7, 4)), rng.normal(size=(7, 4))
    score = np.exp(a @ b.T)
    expected = -np.mean([np.log(score[i, i] / score[i].sum()) for i in range(7)])
    assert infonce(torch.from_numpy(a), torch.from_numpy(b)).item() == pytest.approx(expected)
    assert infonce(torch.zeros(7, 4), torch.from_numpy(b).float()).item() == pytest.approx(np.log(7))
    assert infonce(100 * torch.eye(7), torch.eye(7)).item() == pytest.approx(0, abs=1e-6)


def test_barlow_asks_for_the_identity_as_cross_correlation():
    rng = np.random.default_rng(0)
    a, b = rng.normal(size=(50, 4)), 3 + 2 * rng.normal(size=(50, 4))
    expected = 0.0
    for i in range(4):
        for j in range(4):
            c = np.corrcoef(a[:, i], b[:, j])[0, 1] * 49 / 50  # upstream divides by n what it standardised by n - 1
            expected += (c - 1) ** 2 if i == j else 5e-4 * c**2
    assert barlow(torch.from_numpy(a), torch.from_numpy(b)).item() == pytest.approx(expected)
    assert barlow(torch.from_numpy(a), torch.from_numpy(3 * a + 1)).item() < 0.01 < 0.5 < expected


@pytest.mark.parametrize("config", [VECTOR, PIXELS], ids=["vectors", "frames"])
def test_representation_losses_are_weighed_and_teach_nothing_to_what_they_compare_with(config: ModelConfig):
    model = _model(replace(config, loss=BOTH))
    batch = _batch(config)
    loss, states, m = model.loss(batch)
    prepared = model.observation.prepare(batch.observation)
    projected = model.projector(model.feature(states)).flatten(0, 1)
    target = model.observation.target(prepared, model.observation.embed(prepared)).flatten(0, 1)
    torch.testing.assert_close(m["infonce_loss"], infonce(projected, target).detach())
    torch.testing.assert_close(m["barlow_loss"], barlow(projected, target).detach())
    terms = (
        (1, "prediction"),
        (1, "reward"),
        (1, "continue"),
        (1, "dynamics"),
        (0.1, "representation"),
        (0.3, "infonce"),
        (0.02, "barlow"),
    )
    torch.testing.assert_close(loss.detach(), sum(weight * m[f"{name}_loss"] for weight, name in terms))
    loss.backward()
    assert all(parameter.grad is not None for parameter in model.parameters())


def test_the_cnn_cannot_make_its_own_target_easy():
    """With the latents cut off, a representation loss leaves the CNN alone."""
    model, batch = _model(replace(PIXELS, loss=LossScales(0, 0, 0, 0, 0, infonce=1.0))), _batch(PIXELS)
    observe, model.observe = model.observe, lambda embed, *rest, **noise: observe(embed.detach(), *rest, **noise)
    model.loss(batch)[0].backward()
    assert model.projector.weight.grad.abs().sum() > 0
    assert all(p.grad is None or not p.grad.any() for p in model.observation.encoder.parameters())


@pytest.mark.parametrize("config", [VECTOR, PIXELS], ids=["vectors", "frames"])
def test_without_a_decoder_nothing_is_reconstructed(config: ModelConfig):
    model = _model(replace(config, decoder="none"))
    loss, _, m = model.loss(_batch(config))
    assert "prediction_loss" not in m and not any("decoder" in name for name, _ in model.named_parameters())
    expected = m["reward_loss"] + m["continue_loss"] + m["dynamics_loss"] + 0.1 * m["representation_loss"]
    torch.testing.assert_close(loss.detach(), expected)


def test_vectors_can_be_asked_to_reconstruct_the_frames_they_were_made_of():
    """The loss by numpy: block means of scaled frames, less their training mean, over one standard deviation of all pixels."""
    model, batch = _model(replace(VECTOR, decoder="pixels")), _batch(VECTOR)
    rng = np.random.default_rng(0)
    seen, frames = (
        rng.integers(0, 256, (*size, 32, 32, 3), np.uint8) // (1 + np.arange(3, dtype=np.uint8)) for size in ((40,), (3, 5))
    )
    model.standardise(torch.randn(40, 5), torch.from_numpy(seen))
    loss, states, m = model.loss(batch._replace(frames=torch.from_numpy(frames)))

    def blocks(values: np.ndarray) -> np.ndarray:
        return (values / 255.0 - 0.5).reshape(-1, 16, 2, 16, 2, 3).mean((2, 4))

    std = np.sqrt(((seen - seen.mean(0, dtype=np.float64)) ** 2).mean()) / 255
    target = (blocks(frames) - blocks(seen).mean(0)) / std
    made = model.reconstruction.decoder(model.feature(states).flatten(0, -2)).detach().numpy()
    assert m["prediction_loss"].item() == pytest.approx(((made - target) ** 2).sum((1, 2, 3)).mean(), rel=1e-5)
    terms = ((1, "prediction"), (1, "reward"), (1, "continue"), (1, "dynamics"), (0.1, "representation"))
    torch.testing.assert_close(loss.detach(), sum(weight * m[f"{name}_loss"] for weight, name in terms))
    loss.backward()
    assert all(p.grad is not None for p in model.parameters()) and model.observation.adapter.weight.grad.any()


def test_the_latents_of_vectors_never_read_the_frames():
    model, batch = _model(replace(VECTOR, decoder="pixels")), _batch(VECTOR)
    states = []
    for value in (0, 255):
        torch.manual_seed(3)
        states.append(model.loss(batch._replace(frames=torch.full((3, 5, 32, 32, 3), value, dtype=torch.uint8)))[1])
    assert all(torch.equal(*pair) for pair in zip(*states, strict=True))
    with pytest.raises(ValueError, match="reconstruct frames was given none"):
        model.loss(batch)
    with pytest.raises(ValueError, match="reconstruct frames was given none"):
        model.standardise(torch.randn(9, 5))


def test_frames_are_what_a_model_of_frames_reconstructs_under_either_name():
    models = [_model(replace(PIXELS, decoder=decoder)) for decoder in ("embedding", "pixels")]
    states = [model.state_dict() for model in models]
    assert states[0].keys() == states[1].keys() and all(torch.equal(states[0][name], states[1][name]) for name in states[0])
    losses = []
    for model in models:
        torch.manual_seed(3)
        losses.append(model.loss(_batch(PIXELS))[0])
    assert torch.equal(*losses) and not models[1].config.needs_frames


def test_the_mlp_adapter_has_the_three_layers_of_upstreams_encoder():
    model = _model(replace(VECTOR, adapter="mlp"))
    shapes = [tuple(p.shape) for p in model.observation.adapter.parameters()]
    assert shapes == [(24, 5), (24,), (24, 24), (24,), (24, 24), (24,)]
    assert model.embed(torch.randn(2, 5)).shape == (2, 24)
    model.loss(_batch(VECTOR))[0].backward()


def test_a_representation_loss_changes_no_other_weight_at_the_start():
    plain, more = _model(VECTOR).state_dict(), _model(replace(VECTOR, loss=BOTH)).state_dict()
    assert more.keys() - plain.keys() == {"projector.weight"}
    assert all(torch.equal(value, more[name]) for name, value in plain.items())


@pytest.mark.parametrize("weight", [0.0, 1.0, 7.0])
def test_the_reward_weight_scales_what_the_reward_teaches_and_nothing_else(weight: float):
    def gradients(reward: float) -> dict[str, torch.Tensor]:
        model = _model(replace(VECTOR, loss=LossScales(reward=reward)))
        torch.nn.init.normal_(model.reward_head[-1].weight)  # else it starts at zero, and nothing passes it
        torch.manual_seed(2)
        model.loss(_batch(VECTOR))[0].backward()
        return {name: parameter.grad for name, parameter in model.named_parameters()}

    none, one, some = gradients(0.0), gradients(1.0), gradients(weight)
    for name, value in some.items():
        torch.testing.assert_close(value, none[name] + weight * (one[name] - none[name]), rtol=1e-3, atol=1e-4)
    assert not none["reward_head.0.weight"].any() and one["reward_head.0.weight"].any()
    assert torch.equal(none["continue_head.0.weight"], one["continue_head.0.weight"])
    assert not torch.equal(none["rssm.post_out.weight"], one["rssm.post_out.weight"])


def test_a_checkpoint_from_before_the_options_is_the_default_model():
    old = VECTOR.to_json()
    del old["adapter"], old["decoder"], old["loss"]["infonce"], old["loss"]["barlow"]
    assert ModelConfig.from_json(old) == VECTOR
    for decoder in ("none", "pixels"):
        chosen = replace(VECTOR, adapter="mlp", decoder=decoder, loss=BOTH)
        assert ModelConfig.from_json(chosen.to_json()) == chosen


def _upstream_count(deter: int, units: int, action: int, token: int) -> dict[str, int]:
    """Parameters of danijar/dreamerv3's RSSM and heads, from its layers (dreamerv3/rssm.py and embodied/jax/heads.py)."""
    hidden, flat, blocks = units, 32 * units // 16, 8

    def dense(i: int, o: int) -> int:
        return i * o + o

    norm = hidden
    core = sum(dense(i, hidden) + norm for i in (deter, flat, action))  # dynin0, dynin1, dynin2
    core += deter * (deter // blocks + 3 * hidden) + deter + deter  # dynhid0, a block reads its part and all inputs; its norm
    core += deter // blocks * 3 * deter + 3 * deter  # dyngru
    posterior = dense(deter + token, hidden) + norm + dense(hidden, flat)
    prior = dense(deter, hidden) + norm + dense(hidden, hidden) + norm + dense(hidden, flat)
    feature = deter + flat
    head = dense(feature, units) + units
    return {"rssm": core + posterior + prior, "reward_head": head + dense(units, 255), "continue_head": head + dense(units, 1)}


@pytest.mark.parametrize(
    ("name", "deter", "units"),
    [("1m", 512, 64), ("12m", 2048, 256), ("25m", 3072, 384), ("50m", 4096, 512), ("100m", 6144, 768), ("200m", 8192, 1024)],
)
def test_named_sizes_have_upstreams_parameters(name: str, deter: int, units: int):
    with torch.device("meta"):
        model = WorldModel(ModelConfig("vector", (384,), 6, **NAMED[name]))
    expected = _upstream_count(deter, units, action=6, token=units)
    expected["reward_head"] -= units  # a hidden layer of ours has no bias before its norm
    expected["continue_head"] -= units
    assert {part: sum(p.numel() for p in getattr(model, part).parameters()) for part in expected} == expected
