"""Offline training: killed and resumed equals uninterrupted; what is wrong is said in one line."""

import os
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
from trainers.algorithms import algorithm
from trainers.checkpoint import load_torch, load_world_model, save_torch, save_world_model
from trainers.data import Rows, load_rows, statistics_rows
from trainers.feed import HeldFeed
from trainers.offline import LOG_EVERY, Member, OfflineTrainer, Settings
from trainers.worldmodel import ModelConfig, WorldModel

CONFIG = ModelConfig("vector", (5,), 1, deter=16, hidden=16, stoch=4, classes=4, blocks=4, units=16)
DATA = make_trajectories()
META = {"encoder": "state", "task": DATA.task, "algorithm": "dreamerv3", "seed": 0}


def _embeddings(values: np.ndarray, rows: int | None = None) -> Embeddings:
    return Embeddings(values, {"variant": "default", "rows": [[0, rows or len(values)]]})


def _rows(values: np.ndarray = DATA.observation) -> Rows:
    return load_rows(DATA, _embeddings(values), DATA.episodes(validation=False))


def _trainer(checkpoint: Path, rows: Rows | None = None, updates: int = 50, every: int = 15, lr: float = 1e-3) -> OfflineTrainer:
    torch.manual_seed(0)
    feed = HeldFeed(rows or _rows(), WindowSampler(window_starts(DATA, 6), 4, seed=0), 6)
    return OfflineTrainer([Member(WorldModel(CONFIG), feed, 0)], Settings(updates, lr, 100.0, every), checkpoint)


@pytest.mark.parametrize("killed_after", [5, 15, 16, 37, 49])
def test_a_killed_run_ends_in_the_same_weights_and_metrics(tmp_path: Path, killed_after: int):
    whole = _trainer(tmp_path / "whole.pt")
    whole.run()
    with pytest.raises(KilledError):
        _trainer(tmp_path / "resumed.pt").run(until(killed_after))
    resumed = _trainer(tmp_path / "resumed.pt")
    assert resumed.update == killed_after // 15 * 15
    resumed.run()
    assert resumed.points[0] == whole.points[0]
    for name, value in whole.members[0].model.state_dict().items():
        assert torch.equal(value, resumed.members[0].model.state_dict()[name]), name


def test_metrics_are_logged_as_means_at_even_intervals(tmp_path: Path):
    trainer = _trainer(tmp_path / "c.pt", updates=2 * LOG_EVERY + 3)
    trainer.run()
    assert {point.update for point in trainer.points[0]} == {LOG_EVERY, 2 * LOG_EVERY}
    assert {"reward_loss", "prediction_loss", "loss", "gradient_norm"} <= {point.metric for point in trainer.points[0]}


def test_the_loss_falls(tmp_path: Path):
    trainer = _trainer(tmp_path / "c.pt", updates=120, lr=3e-3)
    trainer.run()
    losses = [point.value for point in trainer.points[0] if point.metric == "reward_loss"]
    assert losses[-1] < 0.8 * losses[0]


def test_the_learning_rate_warms_up_and_ends_at_a_tenth():
    settings = Settings(1000, 0.01, 100.0, 100, warmup=50, decay=0.4)
    rates = [settings.rate(update) for update in range(1, 1001)]
    assert rates[24] == pytest.approx(0.005)
    assert rates[49:600] == pytest.approx([0.01] * 551)
    assert rates[799] == pytest.approx(0.0055)
    assert rates[-1] == pytest.approx(0.001)


def test_a_run_shorter_than_a_logged_interval_is_still_logged(tmp_path: Path):
    trainer = _trainer(tmp_path / "c.pt", updates=LOG_EVERY // 2)
    trainer.run()
    assert {point.update for point in trainer.points[0]} == {LOG_EVERY // 2}


@pytest.mark.parametrize("every", [15, 1000])
def test_divergence_names_update_metric_and_the_last_good_checkpoint(tmp_path: Path, every: int):
    rows = _rows()
    with pytest.raises(KilledError):
        _trainer(tmp_path / "c.pt", rows, every=every).run(until(30))
    rows = rows._replace(reward=torch.full_like(rows.reward, torch.nan))
    with pytest.raises(UserError, match=r"diverged: \w+_loss is nan at update (1|31) of 50.*") as error:
        _trainer(tmp_path / "c.pt", rows, every=every).run()
    assert ("c.pt" in str(error.value)) == (every == 15)
    assert "\n" not in str(error.value)


def test_a_divergence_that_stays_finite_stops_too(tmp_path: Path):
    """At such a rate the prior becomes certain of the wrong classes; the loss is far from infinite."""
    with pytest.raises(KilledError):
        _trainer(tmp_path / "c.pt").run(until(15))
    good = (tmp_path / "c.pt").read_bytes()
    with pytest.raises(UserError, match=r"diverged: dynamics_loss is \d+\.\d+ at update \d+ of 50; .*c\.pt; lower") as error:
        _trainer(tmp_path / "c.pt", lr=100.0).run()
    assert "\n" not in str(error.value)
    assert (tmp_path / "c.pt").read_bytes() == good


def test_no_checkpoint_is_written_after_divergence(tmp_path: Path):
    rows = _rows()
    rows = rows._replace(reward=torch.full_like(rows.reward, torch.nan))
    with pytest.raises(UserError):
        _trainer(tmp_path / "c.pt", rows, every=3).run()
    assert not (tmp_path / "c.pt").exists()


def test_validation_episodes_are_never_read(tmp_path: Path):
    poisoned = DATA.observation.copy()
    for episode in DATA.episodes(validation=True):
        poisoned[DATA.rows_of(episode)] = np.nan
    points = []
    for name, values in (("clean", DATA.observation), ("poisoned", poisoned)):
        trainer = _trainer(tmp_path / f"{name}.pt", _rows(values))
        trainer.run()
        points.append(trainer.points[0])
    assert points[0] == points[1]
    assert not np.isnan(poisoned[statistics_rows(DATA)]).any()


def test_rows_that_do_not_belong_together_are_refused():
    every = DATA.episodes(validation=True) + DATA.episodes(validation=False)
    with pytest.raises(DataError, match="rows encoded, the trajectories have"):
        load_rows(DATA, _embeddings(DATA.observation[:-1]), every)
    with pytest.raises(DataError, match=r"row 100 of .* has no embedding"):
        load_rows(DATA, _embeddings(DATA.observation, rows=100), every)
    values = DATA.observation.copy()
    values[7, 2] = np.inf
    with pytest.raises(DataError, match="row 7 is not finite"):
        load_rows(DATA, _embeddings(values), every)


def test_a_trained_model_survives_the_disk(tmp_path: Path):
    model = WorldModel(CONFIG)
    save_world_model(tmp_path / "model.pt", model, META)
    loaded = load_world_model(tmp_path / "model.pt", encoder="state", seed=0)
    assert loaded.meta == META
    assert loaded.model.config == CONFIG
    x = torch.randn(3, 5)
    assert torch.equal(loaded.model.embed(x), model.embed(x))


def test_the_same_model_is_the_same_bytes(tmp_path: Path):
    model = WorldModel(CONFIG)
    for name in ("a", "b"):
        (tmp_path / name).mkdir()
        save_world_model(tmp_path / name / "model.pt", model, META)
    assert (tmp_path / "a/model.pt").read_bytes() == (tmp_path / "b/model.pt").read_bytes()


def test_a_wrong_checkpoint_is_refused_in_one_line(tmp_path: Path):
    path = tmp_path / "model.pt"
    save_world_model(path, WorldModel(CONFIG), META)
    good = path.read_bytes()
    with pytest.raises(DataError, match=r"model.pt was trained for encoder 'state', 'scratch' was expected"):
        load_world_model(path, encoder="scratch")
    for content in (good[: len(good) // 2], b"", b"junk" * 99):
        path.write_bytes(content)
        with pytest.raises(DataError, match=r"model\.pt is no world-model checkpoint, or damaged") as error:
            load_world_model(path)
        assert "\n" not in str(error.value)
    with pytest.raises(DataError, match="missing"):
        load_world_model(tmp_path / "other.pt")
    save_torch(path, {"weights": {}})
    with pytest.raises(DataError, match="lacks config, meta"):
        load_world_model(path)
    save_torch(path, {"config": replace(CONFIG, deter=32).to_json(), "weights": WorldModel(CONFIG).state_dict(), "meta": META})
    with pytest.raises(DataError, match="do not fit its configuration") as error:
        load_world_model(path)
    assert "\n" not in str(error.value)


class _Payload:
    def __reduce__(self):
        return os.mkdir, ("executed",)


def test_loading_runs_no_code(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.chdir(tmp_path)
    torch.save({"weights": _Payload()}, "evil.pt")
    with pytest.raises(DataError, match=r"evil\.pt is no checkpoint"):
        load_torch(Path("evil.pt"), "checkpoint")
    assert not Path("executed").exists()


def test_an_unknown_algorithm_is_named():
    with pytest.raises(UserError, match="unknown algorithm 'dreamer'; known: dreamerv3"):
        algorithm("dreamer")
