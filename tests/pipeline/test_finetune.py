"""Fine-tuning as a command: real simulation, tiny networks, killed and run again."""

import os
import re
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import polars as pl
import pytest
import torch
from PIL import Image

from datasets.embeddings import load_embeddings
from datasets.frames import load_frames_index, read_frame_shard
from datasets.manifest import digest
from pipeline import encode, pretrain, train
from pipeline.acting import Arm, run_arm
from pipeline.observe import open_observation_encoder
from pipeline.params import load_params
from tests.synthetic import ROOT, TASK, make_trajectories, write_frames, write_params, write_trajectories
from trainers.agent.episodes import load_episodes

OUT = Path("results/online")
COMMAND = [sys.executable, "-m", "pipeline.finetune", "--task", TASK, "--algorithm", "dreamerv3"]
SMALL = {"encoder": 16, "encoder_layers": 2, "latent": 16, "mlp": 16, "q": 2, "channels": 4}
ENCODERS = ("state", "scratch", "random")


def _tiny(values):
    values["collect"].update(episode_steps=80)
    values["encode"].update(batch=8, chunk=16, shard=64)
    values["train"].update(updates=4, checkpoint_every=5, batch=2, length=6)
    values["train"]["rssm"].update(deter=16, hidden=16, stoch=4, classes=4, units=16)
    values["finetune"].update(
        offline_updates=10, env_steps=160, envs=2, train_every=8, batch=4, length=6, imagine=3, imagine_last=2, eval_every=80,
        eval_episodes=3, eval_look_episodes=2,
    )  # fmt: skip
    values["finetune"]["tdmpc2"].update(train_every=20, batch=4)
    values["finetune"]["tdmpc2"]["plan"].update(horizon=2, iterations=2, samples=16, elites=4, from_policy=4)
    values["train"]["tdmpc2"].update(updates=4, batch=2, custom=SMALL)
    values["render"].update(axes=["texture", "size"], severities=[1.0])


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Made-up trajectories of the task's shape, encoded, with a barely trained model for each representation."""
    root = tmp_path_factory.mktemp("finetune")
    data = make_trajectories()
    write_trajectories(root, data)
    write_frames(root, data)
    write_params(root, _tiny)
    here = Path.cwd()
    os.chdir(root)
    try:
        for encoder in ENCODERS:
            pretrain.main(encoder, TASK)
            encode.main(encoder, TASK)
            train.main(encoder, TASK, "dreamerv3")
    finally:
        os.chdir(here)
    return root


def _copy(project: Path, to: Path) -> Path:
    shutil.copytree(project, to)
    return to


def _start(root: Path, encoder: str) -> subprocess.Popen[str]:
    environment = os.environ | {"ENCORE_STORE": str(root / "store"), "PYTHONPATH": str(ROOT)}
    return subprocess.Popen(
        [*COMMAND, "--encoder", encoder], cwd=root, env=environment, text=True, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
        start_new_session=True,
    )  # fmt: skip


def _run(root: Path, encoder: str) -> str:
    process = _start(root, encoder)
    _, errors = process.communicate(timeout=120)
    assert process.returncode == 0, errors
    return errors


@pytest.fixture(scope="module")
def finished(project: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, float]:
    """An uninterrupted run of `state`, and how long it took."""
    root = _copy(project, tmp_path_factory.mktemp("whole") / "project")
    start = time.monotonic()
    _run(root, "state")
    return root, time.monotonic() - start


def test_both_arms_are_in_the_table(finished: tuple[Path, float]):
    folder = finished[0] / OUT / "state" / TASK / "dreamerv3"
    table = pl.read_parquet(folder / "online.parquet").filter(axis="default")
    rows = table.select("arm", "env_steps", "updates", "episodes").rows()
    assert rows == [("online", 0, 10, 3), ("online", 80, 20, 3), ("online", 160, 30, 3), ("offline_only", 0, 30, 3)]
    assert table["return"].is_between(0, 20).all() and table["return_std"].ge(0).all()
    assert table.schema["env_steps"] == pl.Int64 and table.schema["return"] == pl.Float64
    constant = (
        table.select("algorithm", "encoder", "task", "seed", "init", "variant", "axis", "severity", "split").unique().rows()
    )
    assert constant == [("dreamerv3", "state", TASK, 0, "offline", "default", "default", 0.0, "id")]
    each = pl.read_parquet(folder / "evaluation_episodes.parquet").filter(axis="default")
    means = each.group_by("arm", "env_steps", maintain_order=True).agg(pl.col("return").mean())
    assert means["return"].to_list() == pytest.approx(table["return"].to_list()) and each["episode"].to_list() == [0, 1, 2] * 4
    episodes = pl.read_parquet(folder / "training_episodes.parquet")
    assert episodes["env_steps"].to_list() == [40, 40, 80, 80, 120, 120, 160, 160]
    agent = torch.load(folder / "seed-0" / "agent.pt", weights_only=True)
    assert {"config", "model", "behaviour", "meta"} <= agent.keys() and agent["meta"]["arm"] == "online"


def test_learning_curves_are_published_with_what_they_took(finished: tuple[Path, float], tmp_path: Path):
    """The contract's columns; runs that came from elsewhere stay, those that are here replace their older selves."""
    root, seconds = finished

    def publish(*extra: str) -> subprocess.CompletedProcess[str]:
        environment = os.environ | {"ENCORE_STORE": str(root / "store"), "PYTHONPATH": str(ROOT)}
        command = [sys.executable, "-m", "pipeline.publish", "--out", str(tmp_path / "online.parquet"), *extra]
        return subprocess.run(command, cwd=root, env=environment, text=True, capture_output=True, check=False)

    assert publish().returncode == 0
    table = pl.read_parquet(tmp_path / "online.parquet")
    assert table.columns == [
        "algorithm", "encoder", "task", "seed", "init", "preset", "variant", "axis", "severity", "split", "env_steps", "return",
        "wall_s", "hardware",
    ]  # fmt: skip
    rows = table.select("init", "axis", "env_steps").rows()
    assert rows == [("offline", "default", 0), ("offline", "default", 80), ("offline", "default", 160), ("offline", "size", 160)]
    assert table["wall_s"].is_sorted() and 0 < table["wall_s"].max() <= seconds and "cores" in table["hardware"][0]
    other = table.with_columns(seed=pl.lit(7, pl.Int64))
    pl.concat([other, table.with_columns(pl.col("return") + 1)]).write_parquet(tmp_path / "online.parquet")
    assert publish().returncode == 0
    assert pl.read_parquet(tmp_path / "online.parquet").equals(pl.concat([table, other]))
    nothing = publish("--results", str(tmp_path))
    assert nothing.returncode == 1 and "error: " in nothing.stderr and "no agent that learned online" in nothing.stderr


def test_state_is_evaluated_under_the_looks_that_change_its_physics_alone(finished: tuple[Path, float]):
    folder = finished[0] / OUT / "state" / TASK / "dreamerv3"
    shifted = pl.read_parquet(folder / "online.parquet").filter(pl.col("axis") != "default")
    rows = shifted.select("arm", "variant", "axis", "severity", "split", "env_steps", "episodes").rows()
    assert rows == [(arm, "size-1.00-0", "size", 1.0, "ood", steps, 2) for arm, steps in (("online", 160), ("offline_only", 0))]
    films = sorted(file.name for file in (folder / "films").iterdir())
    assert films == [f"{arm}-seed-0-{look}.webp" for arm in ("offline_only", "online") for look in ("default", "size-1.00-0")]
    with Image.open(folder / "films" / films[0]) as film:
        assert film.n_frames > 5 and min(film.size) >= 128


def test_every_arm_of_every_seed_is_run_also_from_nothing(project: Path, tmp_path: Path):
    """TD-MPC2, whose seeds differ in their model; from nothing it has neither model nor data, and as many updates."""
    root = _copy(project, tmp_path / "project")

    def more(values):
        _tiny(values)
        values["train"].update(seeds=[0, 3])
        values["finetune"].update(arms=["online", "from_nothing"], eval_looks="never")

    write_params(root, more)
    for stage in ("train", "finetune"):
        command = [sys.executable, "-m", f"pipeline.{stage}", "--task", TASK, "--encoder", "state", "--algorithm", "tdmpc2"]
        environment = os.environ | {"ENCORE_STORE": str(root / "store"), "PYTHONPATH": str(ROOT)}
        done = subprocess.run(command, cwd=root, env=environment, text=True, capture_output=True, check=False)
        assert done.returncode == 0, done.stderr
    folder = root / OUT / "state" / TASK / "tdmpc2"
    table = pl.read_parquet(folder / "online.parquet")
    rows = table.select("arm", "init", "seed", "env_steps", "updates").rows()
    assert rows == [
        (arm, init, seed, steps, steps // 20)
        for seed in (0, 3)
        for arm, init in (("online", "offline"), ("from_nothing", "none"))
        for steps in (0, 80, 160)
    ]
    agents = [torch.load(folder / f"seed-{seed}" / "agent.pt", weights_only=True) for seed in (0, 3)]
    assert [agent["meta"]["seed"] for agent in agents] == [0, 3]
    assert agents[0]["model"].keys() == agents[1]["model"].keys()


def test_a_look_is_what_the_agent_sees(project: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.chdir(project)
    arm = Arm("offline_only", load_params(), "scratch", TASK, "dreamerv3", 0, tmp_path)
    run_arm(arm)
    outcome = torch.load(arm.outcome, weights_only=True)
    assert [e[3] for e in outcome["progress"]["evaluations"]] == ["default", "texture-1.00-0", "size-1.00-0"]
    films = [np.asarray(Image.open(tmp_path / f"{look}.webp").convert("RGB"), float) for look in ("default", "texture-1.00-0")]
    assert np.abs(films[0] - films[1]).mean() > 5


@pytest.mark.parametrize("encoder", ["scratch", "random"])
def test_pixel_representations_act_from_what_they_see(
    project: Path, tmp_path: Path, encoder: str, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.chdir(project)
    arm = Arm("online", load_params(), encoder, TASK, "dreamerv3", 0, tmp_path)
    run_arm(arm)
    outcome = torch.load(arm.outcome, weights_only=True)
    assert [e[0] for e in outcome["progress"]["evaluations"]] == [0, 80, 160, 160, 160]  # at last under two looks, too
    assert outcome["agent"]["meta"]["encoder"] == {"random": "random_cnn"}.get(encoder, encoder)
    episode = load_episodes(tmp_path / "episodes-000000.npz")[0]
    stored = load_embeddings(Path("data/embeddings") / TASK / encoder, "default").values
    assert episode.observation.shape == (21, *stored.shape[1:])
    assert np.ptp(episode.observation, axis=0).max() > 0  # what it sees changes


@pytest.mark.parametrize("whole_group", [True, False], ids=["group killed", "parent killed"])
def test_a_killed_run_resumes_to_the_same_bytes(whole_group: bool, project: Path, finished: tuple[Path, float], tmp_path: Path):
    reference, seconds = finished
    root = _copy(project, tmp_path / "project")
    for fraction in (0.6, 0.85) if whole_group else (0.75,):
        process = _start(root, "state")
        time.sleep(fraction * seconds)
        if process.poll() is None:
            (os.killpg if whole_group else os.kill)(process.pid, signal.SIGKILL)
        process.communicate(timeout=60)
    assert not list((root / OUT).rglob("*.tmp"))
    _run(root, "state")
    out = OUT / "state" / TASK / "dreamerv3"
    assert digest(root / out) == digest(reference / out)


def test_environments_in_processes_change_nothing(project: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.chdir(project)
    outcomes = []
    for processes in (0, 2):
        p = load_params()
        p = p.model_copy(update={"compute": p.compute.model_copy(update={"env_processes": processes})})
        arm = Arm("online", p, "random", TASK, "dreamerv3", 0, tmp_path / str(processes))
        run_arm(arm)
        outcomes.append(torch.load(arm.outcome, weights_only=True))
    here, apart = outcomes
    assert apart["progress"] == here["progress"]
    assert all(torch.equal(apart["agent"]["model"][name], value) for name, value in here["agent"]["model"].items())


def test_an_observation_becomes_what_is_stored(project: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.chdir(project)
    p = load_params()
    frames = load_frames_index(Path("data/frames") / TASK)
    shard = next(s for f in frames.sets if f.look.axis == "default" for s in f.shards)
    images = [image for _, _, image in read_frame_shard(Path("data/frames") / TASK / shard.file)]
    states = make_trajectories().observation
    for encoder in ENCODERS:
        stored = load_embeddings(Path("data/embeddings") / TASK / encoder, "default").values
        observe = open_observation_encoder(p, encoder, TASK, stored.shape[1:], str(stored.dtype))
        seen = observe([{"state": states[i], "image": images[i]} for i in range(4)])
        assert seen.shape == (4, *observe.shape)
        assert observe.needs_image == (encoder != "state")
        if encoder == "random":  # another batch size rounds differently before it is stored as float16
            np.testing.assert_allclose(seen, stored[:4].astype(np.float32), rtol=2e-3, atol=1e-4)
            assert (seen == seen.astype(stored.dtype)).all()
        else:
            assert seen.dtype == stored.dtype and (seen == stored[:4]).all()


@pytest.mark.parametrize(
    ("damage", "said"),
    [("no model", "models/cartpole_swingup/state/dreamerv3 is missing"), ("flipped byte", r"model\.pt is corrupt")],
)
def test_unusable_models_are_refused_in_one_line(project: Path, tmp_path: Path, damage: str, said: str):
    root = _copy(project, tmp_path / "project")
    folder = root / "models" / TASK / "state" / "dreamerv3"
    if damage == "no model":
        shutil.rmtree(folder)
    else:
        path = folder / "seed-0" / "model.pt"
        content = bytearray(path.read_bytes())
        content[len(content) // 2] ^= 1
        path.write_bytes(content)
    process = _start(root, "state")
    _, errors = process.communicate(timeout=60)
    assert process.returncode == 1
    last = [line for line in errors.splitlines() if line.strip()][-1]
    assert last.startswith("error: ") and re.search(said, last)
    assert "Traceback" not in errors and not (root / OUT / "state").exists()
