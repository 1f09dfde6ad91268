"""Several models as one batched program: what each would have become alone; killed and resumed together, too."""

import warnings
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from datasets.errors import UserError
from datasets.windows import WindowSampler
from tests.trainers.killing import KilledError, until
from trainers.data import Rows
from trainers.dinowm.config import Config as DinoWmConfig
from trainers.dinowm.config import Settings as DinoWmSettings
from trainers.dinowm.model import DinoWm
from trainers.feed import HeldFeed
from trainers.models import Model
from trainers.offline import Member, OfflineTrainer, Settings
from trainers.tdmpc2.config import Config as TdConfig
from trainers.tdmpc2.config import Settings as TdSettings
from trainers.tdmpc2.config import Sizes
from trainers.tdmpc2.model import TDMPC2
from trainers.worldmodel import LossScales, ModelConfig, WorldModel

ROWS, EPISODE, LENGTH, BATCH = 240, 40, 8, 4
RSSM = ModelConfig("vector", (5,), 2, deter=32, hidden=16, stoch=4, classes=4, blocks=4, units=16)
TD = TdConfig("vector", (5,), 2, TdSettings(Sizes(32, 2, 32, 32, q=3, channels=8)))
DINO = DinoWmConfig((5,), 2, None, DinoWmSettings(3, 4, 2, 2, 8, 32))
OPTIONS = {
    "dreamerv3": RSSM,
    "dreamerv3, mlp, no decoder": replace(RSSM, adapter="mlp", decoder="none", loss=LossScales(infonce=0.5)),
    "tdmpc2": TD,
}


def _rows(shape: tuple[int, ...]) -> Rows:
    draws = torch.Generator().manual_seed(shape[0])
    flags = torch.zeros(ROWS, dtype=torch.bool)
    seen = torch.randn(ROWS, *shape, generator=draws).half()
    if len(shape) == 3:
        seen = torch.randint(256, (ROWS, *shape), generator=draws, dtype=torch.uint8)
    is_first = flags.clone()
    is_first[::EPISODE] = True
    return Rows(seen, 2 * torch.rand(ROWS, 2, generator=draws) - 1, torch.rand(ROWS, generator=draws), is_first, flags)


def _member(config, seed: int) -> Member:
    torch.manual_seed(seed)
    kinds: dict[type, type] = {ModelConfig: WorldModel, TdConfig: TDMPC2, DinoWmConfig: DinoWm}
    model: Model = kinds[type(config)](config)
    rows = _rows(config.observation_shape)
    if getattr(config, "decoder", None) == "pixels":
        rows = rows._replace(frames=_rows((32, 32, 3)).observation)
    model.standardise(rows.observation[:100], None if rows.frames is None else rows.frames[:100])
    starts = np.concatenate([np.arange(first, first + EPISODE - LENGTH + 1) for first in range(0, ROWS, EPISODE)])
    return Member(model, HeldFeed(rows, WindowSampler(starts, BATCH, seed), LENGTH), seed, f"seed {seed}")


def _trained(configs, checkpoint: Path, seeds=None, precision="fp32") -> OfflineTrainer:
    members = [_member(config, seed) for config, seed in zip(configs, seeds or range(len(configs)), strict=True)]
    return OfflineTrainer(members, Settings(25, 1e-3, 1.0, 10, warmup=5, precision=precision), checkpoint)


def _same(together: OfflineTrainer, configs, folder: Path) -> None:
    for number, config in enumerate(configs):
        alone = _trained([config], folder / f"{number}.pt", [number])
        alone.run()
        own, others = (trainer.members[at].model.state_dict() for trainer, at in ((alone, 0), (together, number)))
        assert own.keys() == others.keys()
        for name, value in own.items():
            torch.testing.assert_close(others[name], value, rtol=1e-3, atol=2e-6, msg=lambda text, n=name: f"{n}: {text}")
        for one, other in zip(alone.points[0], together.points[number], strict=True):
            assert (one.update, one.metric) == (other.update, other.metric)
            assert other.value == pytest.approx(one.value, rel=1e-4, abs=1e-6), one.metric


@pytest.mark.parametrize("sizes", [(5, 5, 5), (5, 9, 3)], ids=["equal", "padded"])
@pytest.mark.parametrize("option", OPTIONS)
def test_models_trained_together_end_as_if_alone(tmp_path: Path, option: str, sizes: tuple[int, ...]):
    configs = [replace(OPTIONS[option], observation_shape=(size,)) for size in sizes]
    together = _trained(configs, tmp_path / "together.pt")
    with warnings.catch_warnings():
        warnings.simplefilter("error")  # an operation that cannot be batched is looped over, with a warning
        together.run()
    _same(together, configs, tmp_path)


@pytest.mark.parametrize(
    "config",
    [
        replace(RSSM, kind="pixels", observation_shape=(32, 32, 3)),
        replace(TD, kind="pixels", observation_shape=(40, 40, 3)),
        DINO,
    ],
    ids=["dreamerv3 of frames", "tdmpc2 of frames", "dinowm"],
)
def test_so_do_those_of_frames_and_of_tokens(tmp_path: Path, config):
    together = _trained([config] * 2, tmp_path / "together.pt")
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        together.run()
    _same(together, [config] * 2, tmp_path)


@pytest.mark.parametrize("option", ["dreamerv3", "tdmpc2"])
def test_killed_together_and_resumed_is_bit_for_bit_the_same(tmp_path: Path, option: str):
    configs = [replace(OPTIONS[option], observation_shape=(size,)) for size in (5, 7)]
    whole = _trained(configs, tmp_path / "whole.pt")
    whole.run()
    with pytest.raises(KilledError):
        _trained(configs, tmp_path / "resumed.pt").run(until(23))
    resumed = _trained(configs, tmp_path / "resumed.pt")
    assert resumed.update == 20
    resumed.run()
    assert resumed.points == whole.points
    for one, other in zip(whole.members, resumed.members, strict=True):
        for name, value in one.model.state_dict().items():
            assert torch.equal(value, other.model.state_dict()[name]), name


def test_what_is_kept_of_each_is_what_it_would_keep_alone(tmp_path: Path):
    """One model's part of a checkpoint of several has the shapes of its own, without padding."""
    configs = [replace(RSSM, observation_shape=(size,)) for size in (5, 9)]
    _trained(configs, tmp_path / "together.pt").run()
    _trained(configs[:1], tmp_path / "alone.pt").run()
    (alone,), (both, _) = (torch.load(tmp_path / f"{name}.pt", weights_only=True)["models"] for name in ("alone", "together"))
    assert {n: v.shape for n, v in alone["weights"].items()} == {n: v.shape for n, v in both["weights"].items()}
    for index, state in alone["optimisers"]["model"]["state"].items():
        other = both["optimisers"]["model"]["state"][index]
        torch.testing.assert_close(other["exp_avg"], state["exp_avg"], rtol=1e-3, atol=1e-6)
        assert other["step"] == state["step"] == 20


def test_the_one_that_diverges_is_named(tmp_path: Path):
    trainer = _trained([RSSM] * 2, tmp_path / "c.pt")
    with torch.no_grad():
        trainer.members[1].feed._rows.reward.fill_(float("nan"))
    with pytest.raises(UserError, match=r"training of seed 1 diverged: \w+ is nan at update 1 of 25"):
        trainer.run()


@pytest.mark.parametrize("other", [replace(RSSM, units=32), replace(RSSM, decoder="none"), TD])
def test_models_of_different_sizes_are_refused(tmp_path: Path, other):
    with pytest.raises(UserError, match="train them apart"):
        _trained([RSSM, other], tmp_path / "c.pt")


def test_tokens_of_different_width_are_refused(tmp_path: Path):
    with pytest.raises(UserError, match="train them apart"):
        _trained([DINO, replace(DINO, observation_shape=(7,))], tmp_path / "c.pt")


@pytest.mark.parametrize("config", [RSSM, TD, DINO], ids=["dreamerv3", "tdmpc2", "dinowm"])
@pytest.mark.parametrize("count", [1, 2])
def test_products_in_bfloat16_stay_near_float32_and_parameters_are_float32(tmp_path: Path, config, count: int):
    exact, coarse = (_trained([config] * count, tmp_path / f"{p}.pt", precision=p) for p in ("fp32", "bf16"))
    exact.run()
    coarse.run()
    assert all(value.dtype != torch.bfloat16 for value in coarse.members[0].model.state_dict().values())
    losses = [[p.value for p in t.points[0] if p.metric == "loss"] for t in (exact, coarse)]
    assert losses[0] != losses[1]
    assert losses[1] == pytest.approx(losses[0], rel=0.03)


def test_models_that_reconstruct_frames_beside_vectors_train_together(tmp_path: Path):
    """Each of its own length of vector; the frames are of one size."""
    configs = [replace(RSSM, observation_shape=(size,), decoder="pixels") for size in (5, 9)]
    together = _trained(configs, tmp_path / "together.pt")
    together.run()
    _same(together, configs, tmp_path)
