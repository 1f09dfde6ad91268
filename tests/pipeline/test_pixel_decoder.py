"""`train.decoder: pixels`: latents of an embedding reconstruct the frame, from training to fine-tuning; nothing else changes."""

import itertools
import shutil
from pathlib import Path

import numpy as np
import polars as pl
import pytest
import torch

from datasets.errors import DataError, UserError
from datasets.manifest import digest, read_manifest
from pipeline import acting, encode, evaluate, plan, pretrain, train, training
from pipeline.acting import Arm, run_arm
from pipeline.params import load_params
from tests.synthetic import TASK, enter_project, make_trajectories, write_frames, write_params, write_trajectories
from tests.trainers.killing import KilledError
from trainers.agent.episodes import load_episodes
from trainers.checkpoint import load_world_model

DATA = make_trajectories()
FRAMES = Path("data/embeddings") / TASK / "scratch"


def _settings(decoder: str):
    def change(values):
        values["collect"].update(episode_steps=80)
        values["encode"].update(batch=8, chunk=16, shard=64)
        values["train"].update(updates=25, checkpoint_every=10, batch=2, length=6, decoder=decoder)
        values["train"]["rssm"].update(deter=16, hidden=16, stoch=4, classes=4, units=16)
        values["train"]["tdmpc2"].update(
            updates=3, batch=4, custom={"encoder": 16, "encoder_layers": 2, "latent": 16, "mlp": 16, "q": 2, "channels": 4}
        )
        values["evaluate"].update(horizon=2, long_starts=0, latents=9)
        values["finetune"].update(
            offline_updates=4, env_steps=80, envs=2, train_every=8, batch=4, length=6, imagine=3, imagine_last=2, eval_every=80,
            eval_episodes=2,
        )  # fmt: skip

    return change


@pytest.fixture(scope="module")
def encoded(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("pixels")
    with pytest.MonkeyPatch.context() as patch:
        enter_project(root, patch, DATA)
        write_params(root, _settings("pixels"))
        for encoder in ("scratch", "random", "state"):
            pretrain.main(encoder, TASK)
            encode.main(encoder, TASK)
    return root


@pytest.fixture
def project(encoded: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A copy with random and scratch encoded, `train.decoder` being pixels."""
    root = tmp_path / "project"
    shutil.copytree(encoded, root, ignore=shutil.ignore_patterns("store"))
    monkeypatch.chdir(root)
    monkeypatch.setenv("ENCORE_STORE", str(root / "store"))
    return root


def _train(encoder: str = "random", algorithm: str = "dreamerv3") -> Path:
    train.main(encoder, TASK, algorithm)
    return Path("models") / TASK / encoder / algorithm


def _inputs(folder: Path) -> dict[str, object]:
    return read_manifest(folder)["meta"]["inputs"]


def test_it_trains_on_the_frames_and_predicts_without_them(project: Path):
    folder = _train()
    model = load_world_model(folder / "seed-0/model.pt").model
    assert model.config.needs_frames and model.observation.decoder is None
    assert model.reconstruction.decoder(torch.zeros(1, model.feature_dim)).shape == (1, 16, 16, 3)
    assert model.reconstruction.mean.std() > 0 and 0 < model.reconstruction.std < 1
    losses = pl.read_parquet(folder / "seed-0/learning.parquet").filter(metric="prediction_loss")["value"]
    assert 0.5 * 768 < losses[0] < 2 * 768  # standardised: one for each of 16 x 16 x 3 values, before anything is learned
    shutil.rmtree(FRAMES)
    evaluate.main("random", TASK, "dreamerv3")
    table = pl.read_parquet(f"results/parts/random/{TASK}/dreamerv3/reward_error.parquet")
    assert table["reward_pred"].is_finite().all()


@pytest.mark.parametrize("after", [7, 10, 17])
def test_a_killed_run_ends_in_the_same_bytes(project: Path, after: int, monkeypatch: pytest.MonkeyPatch):
    whole = digest(_train())
    shutil.rmtree("models")

    def killed(items, *_, **__):
        yield from itertools.islice(items, after)
        raise KilledError

    with monkeypatch.context() as patch:
        patch.setattr(training, "track", killed)
        with pytest.raises(KilledError):
            _train()
    assert not Path("models").exists() and digest(_train()) == whole


def test_only_what_reconstructs_frames_depends_on_them(project: Path):
    assert _inputs(_train())["frames"] == digest(FRAMES)
    assert "frames" not in _inputs(_train("scratch"))  # its own embeddings
    assert "frames" not in _inputs(_train(algorithm="tdmpc2"))
    write_params(project, _settings("embedding"))
    assert "frames" not in _inputs(_train())
    shutil.rmtree(FRAMES)
    _train()
    _train(algorithm="tdmpc2")


def test_scratch_learns_the_same_under_either_name(project: Path):
    weights = []
    for decoder in ("pixels", "embedding"):
        write_params(project, _settings(decoder))
        weights.append(load_world_model(_train("scratch") / "seed-0/model.pt").model.state_dict())
    assert weights[0].keys() == weights[1].keys()
    assert all(torch.equal(value, weights[1][name]) for name, value in weights[0].items())


def _other_frames(root: Path, **changes: object) -> None:
    """Frames of other trajectories under the name of this task's."""
    (root / "other").mkdir()
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(root / "other")
        other = make_trajectories(**changes)
        write_trajectories(Path(), other)
        write_frames(Path(), other, seed=1)
        write_params(Path(), _settings("pixels"))
        pretrain.main("scratch", TASK)
        encode.main("scratch", TASK)
    shutil.rmtree(root / FRAMES)
    shutil.copytree(root / "other" / FRAMES, root / FRAMES)


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        (None, r"train\.decoder: pixels needs the frames in data/embeddings/.*/scratch, which is missing; run"),
        ({"episodes": 5}, "frames of look default: 105 rows encoded, the trajectories have 126"),
        ({}, "frames of look default: not those that the embeddings were made of"),
    ],
    ids=["missing", "another number of rows", "other frames"],
)
def test_frames_that_do_not_belong_to_the_rows_are_refused_in_one_line(project: Path, changes: dict | None, said: str):
    if changes is None:
        shutil.rmtree(FRAMES)
    else:
        _other_frames(project, **changes)
    with pytest.raises(UserError if changes is None else DataError, match=said) as caught:
        _train()
    assert "\n" not in str(caught.value) and not Path("models").exists()


@pytest.mark.parametrize("encoder", ["random", "state"])
def test_the_agent_learns_online_from_its_own_frames(project: Path, encoder: str, monkeypatch: pytest.MonkeyPatch):
    _train(encoder)
    outcomes = []
    for name, after in (("whole", None), ("killed", 11)):
        arm = Arm("online", load_params(), encoder, TASK, "dreamerv3", 0, project / name)
        if after is not None:
            with monkeypatch.context() as patch:

                def killed(items, *_, after: int = after, **__):
                    yield from itertools.islice(items, after)
                    raise KilledError

                patch.setattr(acting, "track", killed)
                with pytest.raises(KilledError):
                    run_arm(arm)
        run_arm(arm)
        outcomes.append(torch.load(arm.outcome, weights_only=True))
    whole, resumed = outcomes
    assert whole["progress"] == resumed["progress"]
    for part in ("model", "behaviour"):
        assert all(torch.equal(value, resumed["agent"][part][name]) for name, value in whole["agent"][part].items())
    episode = load_episodes(project / "whole/episodes-000000.npz")[0]
    assert episode.frames.shape == (21, 64, 64, 3) and episode.frames.dtype == np.uint8 and np.ptp(episode.frames, axis=0).any()
    assert episode.observation.shape == (21, {"random": 256, "state": 5}[encoder])


def test_a_model_trained_otherwise_is_not_fine_tuned(project: Path):
    _train()
    write_params(project, _settings("embedding"))
    arm = Arm("online", load_params(), "random", TASK, "dreamerv3", 0, project / "arm")
    with pytest.raises(UserError, match=r"was trained with decoder: pixels, train\.decoder is embedding: train again"):
        run_arm(arm)


def test_the_plan_times_updates_with_frames(params_file):
    p = load_params(params_file({"train.decoder": "pixels", "train.batch": 2, "train.length": 4}))
    for name in ("state", "scratch", "random_cnn"):
        assert plan._training(p, name, "dreamerv3") > 0


def test_frames_of_every_look_that_is_trained_on_are_mapped_with_it(project: Path, monkeypatch: pytest.MonkeyPatch):
    """Stored uncompressed, frames are mapped as vectors are, and the model is the same to the bit."""
    from datasets.embedding_shards import ARRAY, EmbeddingWriter, Layout
    from datasets.embeddings import attributes_of, load_embeddings
    from datasets.manifest import write_manifest
    from trainers import feed

    held = digest(_train())
    stored = load_embeddings(FRAMES, "default")
    attributes = attributes_of(FRAMES / "default.zarr", ARRAY)
    shutil.rmtree(FRAMES / "default.zarr")
    writer = EmbeddingWriter(FRAMES / "default.zarr", Layout(len(stored.values), (64, 64, 3), "uint8", 16, 64), attributes)
    for index in range(2):
        writer.write(index, stored.values[index * 64 : (index + 1) * 64])
    write_manifest(FRAMES, {"stage": "encode"})
    monkeypatch.setattr(
        feed, "place", lambda size, can_map, device: ("map", "mapped") if can_map else pytest.fail("not mappable")
    )
    assert digest(_train()) == held
