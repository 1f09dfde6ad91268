"""TD-MPC2 in the offline loop: killed and resumed equals uninterrupted, its target, policy and scale included; checkpoints."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from datasets.embeddings import Embeddings
from datasets.errors import DataError, UserError
from datasets.windows import WindowSampler, window_starts
from tests.synthetic import make_trajectories
from tests.trainers.killing import KilledError, until
from trainers.checkpoint import load_torch, load_world_model, save_torch, save_world_model
from trainers.data import Rows, load_rows
from trainers.feed import HeldFeed
from trainers.offline import Member, OfflineTrainer, Settings
from trainers.tdmpc2.config import Config, Sizes
from trainers.tdmpc2.config import Settings as Model
from trainers.tdmpc2.model import TDMPC2

DATA = make_trajectories()
SIZES = Sizes(encoder=16, encoder_layers=2, latent=16, mlp=16, q=3, channels=4)
CONFIG = Config("vector", (5,), 1, Model(SIZES))
META = {"encoder": "state", "task": DATA.task, "algorithm": "tdmpc2", "seed": 0}
LENGTH = 3 + CONFIG.settings.frames


def _rows(kind: str) -> Rows:
    frames = np.random.default_rng(0).integers(0, 255, (len(DATA.reward), 40, 40, 3), dtype=np.uint8)
    values = DATA.observation if kind == "vector" else frames
    return load_rows(DATA, Embeddings(values, {"rows": [[0, len(values)]]}), DATA.episodes(validation=False))


def _trainer(checkpoint: Path, rows: Rows, updates: int = 30) -> OfflineTrainer:
    torch.manual_seed(0)
    feed = HeldFeed(rows, WindowSampler(window_starts(DATA, LENGTH), 4, seed=0), LENGTH)
    kind = "pixels" if rows.observation.dtype == torch.uint8 else "vector"
    model = TDMPC2(replace(CONFIG, kind=kind, observation_shape=tuple(rows.observation.shape[1:])))
    return OfflineTrainer([Member(model, feed, 0)], Settings(updates, 1e-3, 20.0, 12, section="train.tdmpc2"), checkpoint)


@pytest.mark.parametrize(("kind", "killed_after"), [("vector", 12), ("vector", 29), ("pixels", 25)])
def test_a_killed_run_ends_in_the_same_weights_and_metrics(tmp_path: Path, kind: str, killed_after: int):
    rows = _rows(kind)
    whole = _trainer(tmp_path / "whole.pt", rows)
    whole.run()
    with pytest.raises(KilledError):
        _trainer(tmp_path / "resumed.pt", rows).run(until(killed_after))
    resumed = _trainer(tmp_path / "resumed.pt", rows)
    assert resumed.update == killed_after // 12 * 12
    resumed.run()
    assert resumed.points[0] == whole.points[0]
    state = resumed.members[0].model.state_dict()
    assert {"scale", "target.last.weight", "policy.net.2.weight"} <= state.keys()
    for name, value in whole.members[0].model.state_dict().items():
        assert torch.equal(value, state[name]), name


def test_both_optimisers_are_in_the_checkpoint_and_the_encoder_learns_slower(tmp_path: Path):
    trainer = _trainer(tmp_path / "c.pt", _rows("vector"), updates=13)
    trainer.run()
    optimisers = load_torch(tmp_path / "c.pt", "checkpoint")["models"][0]["optimisers"]
    assert {name: len(state["state"]) > 0 for name, state in optimisers.items()} == {"model": True, "policy": True}
    encoder, rest = (group["lr"] for group in optimisers["model"]["param_groups"])
    assert encoder == pytest.approx(0.3 * rest)
    assert [group["eps"] for group in optimisers["policy"]["param_groups"]] == [1e-5]
    names = {point.metric for point in trainer.points[0]}
    assert {"reward_loss", "consistency_loss", "value_loss", "policy_loss", "gradient_norm", "policy_gradient_norm"} <= names


def test_divergence_names_the_section_to_change(tmp_path: Path):
    rows = _rows("vector")
    rows = rows._replace(reward=torch.full_like(rows.reward, torch.nan))
    with pytest.raises(UserError, match=r"lower train\.tdmpc2\.learning_rate or train\.tdmpc2\.clip"):
        _trainer(tmp_path / "c.pt", rows).run()


def test_a_trained_model_survives_the_disk(tmp_path: Path):
    model = TDMPC2(CONFIG)
    model.standardise(3 + 2 * torch.randn(50, 5))
    save_world_model(tmp_path / "model.pt", model, META)
    loaded = load_world_model(tmp_path / "model.pt", encoder="state", algorithm="tdmpc2")
    assert loaded.model.config == CONFIG
    for name, value in model.state_dict().items():
        assert torch.equal(value, loaded.model.state_dict()[name]), name


def test_another_algorithms_or_encoders_or_sizes_checkpoint_is_refused_in_one_line(tmp_path: Path):
    path = tmp_path / "model.pt"
    save_world_model(path, TDMPC2(CONFIG), META)
    with pytest.raises(DataError, match=r"trained for algorithm 'tdmpc2', 'dreamerv3' was expected"):
        load_world_model(path, algorithm="dreamerv3")
    with pytest.raises(DataError, match=r"trained for encoder 'state', 'clip_vitl14' was expected"):
        load_world_model(path, encoder="clip_vitl14")
    weights = TDMPC2(CONFIG).state_dict()
    larger = replace(CONFIG, settings=replace(CONFIG.settings, sizes=replace(SIZES, mlp=24)))
    for config, meta in ((larger.to_json(), META), (CONFIG.to_json(), META | {"algorithm": "dreamerv3"}), ({}, META)):
        save_torch(path, {"config": config, "weights": weights, "meta": meta})
        with pytest.raises(DataError, match="do not fit its configuration") as error:
            load_world_model(path)
        assert "\n" not in str(error.value)
