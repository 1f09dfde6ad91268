"""`scratch_64` reads every frame at 64 pixels, whatever it was rendered at: from the store to the agent's own eyes."""

import dataclasses
from pathlib import Path

import numpy as np
import polars as pl
import pytest
import torch

from datasets.embeddings import load_embeddings
from datasets.errors import UserError
from datasets.frames import load_frames_index, read_frame_rows
from pipeline import encode, evaluate, plan, pretrain, train
from pipeline.acting import Arm, run_arm
from pipeline.encoders.area import shrunk
from pipeline.observe import open_observation_encoder
from pipeline.params import load_params
from pipeline.sim.env import TaskEnv, View
from tests.synthetic import TASK, go_into, make_trajectories, write_frames, write_params, write_trajectories
from trainers.agent.episodes import load_episodes
from trainers.checkpoint import load_world_model

SIZE = 96
DATA = make_trajectories()
TDMPC2 = {"encoder": 16, "encoder_layers": 2, "latent": 16, "mlp": 16, "q": 2, "channels": 4}


def _settings(size: int):
    def change(values):
        values.update(encoder="scratch_64", algorithms=["dreamerv3", "tdmpc2"])
        values["render"].update(size=size)
        values["collect"].update(episode_steps=80)
        values["encode"].update(batch=8, chunk=16, shard=64)
        values["train"].update(updates=4, checkpoint_every=5, batch=2, length=6)
        values["train"]["rssm"].update(deter=16, hidden=16, stoch=4, classes=4, units=16)
        values["train"]["tdmpc2"].update(updates=3, batch=4, custom=TDMPC2)
        values["evaluate"].update(horizon=2, long_starts=0, latents=9)
        values["finetune"].update(
            offline_updates=2, env_steps=40, envs=2, train_every=20, batch=4, length=6, imagine=3, imagine_last=2, eval_every=40,
            eval_episodes=2, eval_looks="never",
        )  # fmt: skip

    return change


def _project(root: Path, patch: pytest.MonkeyPatch, size: int) -> None:
    patch.chdir(root)
    patch.setenv("ENCORE_STORE", str(root / "store"))
    write_trajectories(root, DATA)
    write_frames(root, DATA, size)
    write_params(root, _settings(size))
    pretrain.main("scratch_64", TASK)


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Frames of 96 pixels, encoded, and both algorithms trained on them at 64."""
    root = tmp_path_factory.mktemp("scratch_64")
    with pytest.MonkeyPatch.context() as patch:
        _project(root, patch, SIZE)
        encode.main("scratch_64", TASK)
        for algorithm in ("dreamerv3", "tdmpc2"):
            train.main("scratch_64", TASK, algorithm)
            evaluate.main("scratch_64", TASK, algorithm)
    return root


@pytest.fixture
def inside(finished: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    return go_into(finished, monkeypatch)


def _frames(variant: str, rows: np.ndarray) -> np.ndarray:
    folder = Path("data/frames") / TASK
    return np.stack(list(read_frame_rows(folder, load_frames_index(folder).of(variant), DATA.episode_starts, rows)))


@pytest.mark.parametrize("size", [65, 96, 128, 224])
def test_a_pixel_is_the_mean_of_the_area_it_covers(size: int):
    frames = np.random.default_rng(0).integers(0, 256, (3, size, size, 3), np.uint8)
    times, block = np.lcm(size, 64) // size, np.lcm(size, 64) // 64
    fine = frames[0].astype(np.int64).repeat(times, 0).repeat(times, 1)  # every pixel cut into equal ones
    sums = fine.reshape(64, block, 64, block, 3).sum((1, 3))
    expected = (2 * sums + block**2) // (2 * block**2)
    made = shrunk(frames, 64)
    assert made.dtype == np.uint8 and (made[0] == expected).all()
    assert (shrunk(frames[:1], 64) == made[:1]).all()  # whatever else is in the batch


def test_every_look_is_stored_shrunk(inside: Path):
    for variant in ("default", "texture-0.50-0"):
        stored = load_embeddings(Path("data/embeddings") / TASK / "scratch_64", variant)
        assert stored.values.shape == (len(DATA.reward), 64, 64, 3) and stored.values.dtype == np.uint8
        np.testing.assert_array_equal(stored.values[stored.rows], shrunk(_frames(variant, stored.rows), 64))
        assert stored.attributes["encoder"] == "scratch_64"
        assert stored.attributes["preprocessing"] == "area mean to 64 x 64 pixels"


@pytest.mark.parametrize("algorithm", ["dreamerv3", "tdmpc2"])
def test_models_read_64_pixels_and_predict(inside: Path, algorithm: str):
    path = Path("models") / TASK / "scratch_64" / algorithm / "seed-0/model.pt"
    loaded = load_world_model(path, encoder="scratch_64", algorithm=algorithm)
    assert loaded.model.config.observation_shape == (64, 64, 3)
    table = pl.read_parquet(f"results/parts/scratch_64/{TASK}/{algorithm}/reward_error.parquet")
    assert table["encoder"].unique().to_list() == ["scratch_64"] and table["reward_pred"].is_finite().all()


def test_the_agent_sees_the_rendered_frames_as_they_are_stored(inside: Path, tmp_path: Path):
    p = load_params()
    stored = load_embeddings(Path("data/embeddings") / TASK / "scratch_64", "default").values
    observe = open_observation_encoder(p, "scratch_64", TASK, stored.shape[1:], "uint8")
    assert observe.needs_image
    seen = observe([{"image": frame} for frame in _frames("default", np.arange(5))])
    assert seen.dtype == np.uint8 and (seen == stored[:5]).all()
    arm = Arm("online", p, "scratch_64", TASK, "dreamerv3", 0, tmp_path)
    run_arm(arm)
    outcome = torch.load(arm.outcome, weights_only=True)
    assert [e[0] for e in outcome["progress"]["evaluations"]] == [0, 40]
    episode = load_episodes(tmp_path / "episodes-000000.npz")[0]
    assert episode.observation.shape == (21, 64, 64, 3)
    env = TaskEnv(TASK, p.collect.action_repeat, 80, View(SIZE, p.render.camera_of(TASK), p.render.quality))
    first = env.reset(seed=int(np.random.SeedSequence([0, 0, 0]).generate_state(1)[0] >> 1))[0]["image"]
    assert first.shape == (SIZE, SIZE, 3) and (episode.observation[0] == shrunk(first[None], 64)[0]).all()


def test_frames_of_64_pixels_are_stored_as_scratch_stores_them(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    _project(tmp_path, monkeypatch, 64)
    pretrain.main("scratch", TASK)
    for encoder in ("scratch", "scratch_64"):
        encode.main(encoder, TASK)
    groups = [Path("data/embeddings") / TASK / encoder / "default.zarr/embedding/c" for encoder in ("scratch", "scratch_64")]
    shards = [{path.relative_to(group): path.read_bytes() for path in group.rglob("*") if path.is_file()} for group in groups]
    assert shards[0] == shards[1] and len(shards[0]) == 2


def test_smaller_frames_are_refused_in_one_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, params_file):
    _project(tmp_path, monkeypatch, 64)
    imported = dataclasses.replace(DATA, task="mine")
    write_trajectories(tmp_path, imported)
    write_frames(tmp_path, imported, 48)
    entry = {"format": None, "path": "somewhere", "quality": "mixed", "validation": 0.1}
    params_file({"encoder": "scratch_64", "tasks": ["mine"], "imports": {"mine": entry}})
    pretrain.main("scratch_64", "mine")
    with pytest.raises(UserError, match="scratch_64: the frames of mine have 48 pixels a side, it shrinks them to 64") as caught:
        encode.main("scratch_64", "mine")
    assert "\n" not in str(caught.value) and not Path("data/embeddings/mine").exists()
    with pytest.raises(UserError, match=r"render\.size is below 64, which scratch_64 shrinks frames to: raise it"):
        load_params(params_file({"encoder": "scratch_64", "render.size": 48}))


def test_the_plan_counts_64_pixels(params_file, capsys: pytest.CaptureFixture[str]):
    path = params_file({"encoder": "scratch_64", "render.size": 80, "train.batch": 2, "train.length": 4})
    plan.main(params=path)
    lines = {line.split()[0]: line.split()[1] for line in capsys.readouterr().out.splitlines() if "scratch" in line}
    frames = plan.count(load_params(path)).frames
    assert lines == {"scratch_64": f"{frames * 3 * 64**2 / 1e6:.1f}", "scratch": f"{frames * 3 * 80**2 / 1e6:.1f}"}
