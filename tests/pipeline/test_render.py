"""Frames are exactly what the simulation looked like, under every look; the same inputs give the same bytes."""

import json
import os
import shutil
import subprocess
import sys
from dataclasses import asdict
from importlib.metadata import version
from pathlib import Path

import h5py
import numpy as np
import polars as pl
import pytest
from dm_control import suite
from PIL import Image

from datasets.episodes import EpisodeFacts
from datasets.frames import Look, load_frames_index, read_frame_shard
from datasets.manifest import digest, verify, write_manifest
from datasets.trajectories import FILE, TrajectoryReader, load_trajectories, write_trajectories
from pipeline.sim.env import TaskEnv, View
from pipeline.sim.measure import ssim
from pipeline.sim.names import TASKS
from pipeline.sim.recording import record_episode, uniform
from pipeline.sim.replay import Replayer
from pipeline.sim.variants import looks
from tests.synthetic import ROOT, write_params

TASK = "reacher_easy"
DEFAULT = Look("default", "default", 0.0, 0, "id")
ACTION_REPEAT, EPISODE_STEPS, EPISODES, SIZE = 4, 40, 5, 48
SIZES = tuple(looks(["size"], [0.5, 1.0], 1, 0))
TRAIN_LOOKS = {"axes": ["color"], "severities": [1.0], "looks_per_severity": 1}


def record(task: str, folder: Path, episodes: int = 2, sizes: tuple[Look, ...] = (), **meta) -> TrajectoryReader:
    """Random episodes in a published trajectory folder, the last two held out, and one of each resized body."""
    bodies: list[Look | None] = [None] * episodes + list(sizes)
    facts = [EpisodeFacts("random", e, e >= episodes - 2, look.variant if look else "default") for e, look in enumerate(bodies)]
    env = [TaskEnv(task, ACTION_REPEAT, EPISODE_STEPS, look=look) for look in bodies]
    played = [record_episode(e, about.seed, uniform(e, about.seed)) for e, about in zip(env, facts, strict=True)]
    original = {name: env[0].simulation.original(name) for name in set().union(*(p.model for p in played))}
    meta |= {"action_repeat": ACTION_REPEAT, "episode_steps": EPISODE_STEPS, "version_mujoco": version("mujoco")} | meta
    meta |= {"sizes": json.dumps([asdict(look) for look in sizes])}
    folder.mkdir(parents=True, exist_ok=True)
    write_trajectories(folder / FILE, task, zip(played, facts, strict=True), meta, original)
    write_manifest(folder)
    return TrajectoryReader(folder)


def run(module: str, project: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    environment = os.environ | {"PYTHONPATH": str(ROOT), "ENCORE_STORE": str(project / "store")}
    command = [sys.executable, "-m", module, "--task", TASK, *arguments]
    return subprocess.run(command, cwd=project, env=environment, capture_output=True, text=True, timeout=300)


def render(project: Path, **changes) -> subprocess.CompletedProcess[str]:
    def change(values):
        values["tasks"] = [TASK]
        values["compute"]["workers"] = 2
        values["collect"]["size"]["severities"] = [0.5, 1.0]
        values["render"].update({"size": SIZE, "severities": [0.5, 1.0], "episodes_per_shard": 2} | changes)

    write_params(project, change)
    return run("pipeline.render", project)


def project_in(root: Path) -> Path:
    record(TASK, root / "data" / "trajectories" / TASK, EPISODES, SIZES)
    return root


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Path:
    made = project_in(tmp_path_factory.mktemp("render"))
    done = render(made, axes=["lighting", "camera", "size"], train_looks=TRAIN_LOOKS)
    assert done.returncode == 0, done.stderr
    return made


@pytest.fixture(scope="module")
def folder(project: Path) -> Path:
    return project / "data" / "frames" / TASK


@pytest.fixture(scope="module")
def data(project: Path) -> TrajectoryReader:
    return TrajectoryReader(project / "data" / "trajectories" / TASK)


@pytest.mark.parametrize("task", ["cartpole_swingup", "reacher_easy", "walker_walk", "finger_turn_easy", "swimmer_swimmer6"])
@pytest.mark.parametrize("axis", ["default", "all"])
def test_a_replayed_row_is_the_frame_the_environment_showed(task, axis, tmp_path):
    """Whatever the task moved in its model (a target, a light), episode by episode, in any order."""
    look = Look(f"{axis}-1.00-0", axis, float(axis != "default"), 0, "ood")
    data = record(task, tmp_path)
    env = TaskEnv(task, ACTION_REPEAT, EPISODE_STEPS, View(SIZE, 0, "fast", look))
    shown = []
    for episode in range(2):
        stored = data.episode(episode)
        shown.append(env.reset(seed=int(data.index.seed[episode]))[0]["image"])
        shown += [env.step(action)[0]["image"] for action in stored.action[1:]]
    env.close()
    with Replayer(data, look, SIZE, 0, "fast") as replayer:
        for row in reversed(range(len(shown))):
            assert np.array_equal(replayer.frame(row), shown[row])


def test_moved_terrain_is_drawn(tmp_path):
    data = record("quadruped_escape", tmp_path)
    with Replayer(data, DEFAULT, SIZE, 0, "fast") as both:
        frames = [both.frame(data.index.rows_of(episode).start) for episode in (0, 1)]
    with Replayer(data, DEFAULT, SIZE, 0, "fast") as fresh:
        assert np.array_equal(fresh.frame(data.index.rows_of(1).start), frames[1])
    assert not np.array_equal(frames[0], frames[1])


@pytest.mark.parametrize("quality", ["fast", "standard"])
def test_pixels_are_those_of_dm_controls_own_renderer(quality):
    task = "cheetah_run"
    env = TaskEnv(task, 1, 40, View(SIZE, 0, quality))
    reference = suite.load(*TASKS[task], task_kwargs={"random": 3})
    reference.reset()
    env.reset(seed=3)
    flags = {}
    if quality == "fast":
        reference.physics.model.vis.quality.offsamples = 0
        flags = {"render_flag_overrides": {"shadow": False, "reflection": False}}
    for _ in range(3):
        reference.step(env.action_high.astype(np.float64))
        image = env.step(env.action_high)[0]["image"]
        assert np.array_equal(image, reference.physics.render(SIZE, SIZE, camera_id=0, **flags))
    env.close()
    reference.close()


def test_every_look_has_its_episodes(folder, data):
    """The default and the trained ones all, the held-out ones the held-out episodes, a resized body its own."""
    index, starts = load_frames_index(folder), data.index.episode_starts
    verify(folder)
    assert (index.task, index.size, index.camera, index.quality) == (TASK, SIZE, "fixed", "fast")
    rows = {frames.look.variant: frames.rows for frames in index.sets}
    assert rows["default"] == rows["color-1.00-id0"] == [[0, starts[5]]]
    for variant in ("lighting-0.50-0", "lighting-1.00-0", "camera-0.50-0", "camera-1.00-0"):
        assert rows[variant] == [[starts[3], starts[5]]]
    assert rows["size-0.50-0"] == [[starts[5], starts[6]]]
    assert rows["size-1.00-0"] == [[starts[6], data.index.episode_ends[-1]]]
    assert len(rows) == 8
    assert {frames.look.split for frames in index.sets if frames.look.axis == "color"} == {"id"}


def test_every_tar_holds_whole_episodes_of_the_right_frames(folder, data):
    for frames in load_frames_index(folder).sets:
        with Replayer(data, frames.look, SIZE, 0, "fast") as replayer:
            for shard in frames.shards:
                stored = list(read_frame_shard(folder / shard.file))
                expected = [(e, t) for e in shard.episodes for t in range(EPISODE_STEPS // ACTION_REPEAT + 1)]
                assert [(episode, t) for episode, t, _ in stored] == expected
                for episode, t, frame in stored[::7]:
                    assert np.array_equal(frame, replayer.frame(data.index.rows_of(episode).start + t))


def test_paired_looks_share_the_trajectories_and_sizes_do_not(folder, data):
    """One file holds states, actions and rewards; a look only lists rows of it."""
    own = {s.look.variant: {e for shard in s.shards for e in shard.episodes} for s in load_frames_index(folder).sets}
    for frames in load_frames_index(folder).sets:
        held_out = own[frames.look.variant]
        assert (held_out <= own["default"]) == frames.look.paired
        if not frames.look.paired:
            assert not held_out & own["default"]


def test_what_each_look_does_is_measured(folder):
    table = pl.read_parquet(folder / "look_statistics.parquet")
    assert table["variant"].to_list() == [s.look.variant for s in load_frames_index(folder).sets][1:]
    for axis in ("lighting", "camera"):
        of_axis = table.filter(axis=axis).sort("severity")
        for measure in ("pixel_change", "perceptual_change"):
            assert 0 < of_axis[measure][0] < of_axis[measure][1]
    assert table.filter(pl.col("axis") == "size").select("pixel_change", "perceptual_change").null_count().row(0) == (2, 2)
    assert table["body_visible"].min() > 0.5


def test_ssim_is_one_for_the_same_and_the_closed_form_for_flat_pictures():
    rng = np.random.default_rng(0)
    noise = rng.integers(0, 256, (32, 32, 3)).astype(np.uint8)
    assert ssim(noise, noise) == pytest.approx(1)
    assert ssim(noise, 255 - noise) < 0
    flat = [np.full((32, 32, 3), level, np.uint8) for level in (100, 150)]
    c1 = (0.01 * 255) ** 2
    assert ssim(*flat) == pytest.approx((2 * 100 * 150 + c1) / (100**2 + 150**2 + c1))


def test_a_contact_sheet_shows_every_axis_by_severity(folder, project):
    with Image.open(folder / "contact_sheet.png") as sheet:
        cell = -(-128 // SIZE) * SIZE + 4
        assert sheet.size == (92 + 3 * cell, 14 + 4 * cell)  # default and two severities; four lines: one trained, three held out
        assert len(sheet.crop((92, 14, 92 + cell, 14 + cell)).getcolors(10_000)) > 3
    done = run("pipeline.render", project, "--contact-sheet", "sheet.png", "--videos", "videos")
    assert done.returncode == 0, done.stderr
    assert (project / "sheet.png").read_bytes() == (folder / "contact_sheet.png").read_bytes()
    videos = sorted(path.name for path in (project / "videos").iterdir())
    assert videos == sorted(f"{s.look.variant}.webp" for s in load_frames_index(folder).sets)
    with Image.open(project / "videos" / "camera-1.00-0.webp") as video:
        assert video.n_frames == 6  # every other step
        assert video.size[0] >= 128


def test_every_episode_comes_back_bit_for_bit(project):
    done = run("pipeline.replay", project)
    assert done.returncode == 0, done.stderr
    assert f"{TASK}: 7 of 7 episodes the same to the bit: 77 steps, 77 frames of them compared" in done.stderr


def test_an_episode_that_does_not_come_back_is_named(project, tmp_path):
    shutil.copytree(project, tmp_path, dirs_exist_ok=True)
    folder = tmp_path / "data" / "trajectories" / TASK
    with h5py.File(folder / FILE, "r+") as file:
        file["reward"][15] += np.float32(1e-6)
    write_manifest(folder)
    done = run("pipeline.replay", tmp_path, "--episodes", "7")
    assert done.returncode == 1
    lines = done.stderr.strip().splitlines()
    assert "episode 1 (default): of 11 steps 11 states and 10 rewards, of 11 frames 11 are the same" in lines
    assert lines[-1].startswith(f"error: data/trajectories/{TASK} does not replay exactly here")


def test_states_of_another_mujoco_are_one_line(project, tmp_path):
    shutil.copytree(project, tmp_path, dirs_exist_ok=True)
    folder = tmp_path / "data" / "trajectories" / TASK
    with h5py.File(folder / FILE, "r+") as file:
        physics = file["physics"][:]
        del file["physics"]
        file["physics"] = physics[:, :-1]
        file.attrs["meta/version_mujoco"] = "2.1.0"
    write_manifest(folder)
    for module in ("pipeline.render", "pipeline.replay"):
        done = run(module, tmp_path)
        assert done.returncode == 1
        assert "was recorded with MuJoCo 2.1.0, whose states of reacher_easy have" in done.stderr.strip().splitlines()[-1]


def test_the_same_inputs_give_the_same_bytes(folder, tmp_path):
    assert render(project_in(tmp_path), axes=["lighting", "camera", "size"], train_looks=TRAIN_LOOKS).returncode == 0
    assert digest(tmp_path / "data" / "frames" / TASK) == digest(folder)


def test_an_unknown_camera_is_one_line_and_leaves_no_output(tmp_path):
    done = render(project_in(tmp_path), camera="nowhere")
    assert done.returncode == 1
    assert done.stderr.strip().startswith("error: render.camera: this task has no camera 'nowhere'; it has 0 (fixed)")
    assert len(done.stderr.strip().splitlines()) == 1
    assert not (tmp_path / "data" / "frames").exists()


def test_a_texture_that_is_no_image_is_one_line_and_leaves_no_output(tmp_path):
    (tmp_path / "page.png").write_text("<html>")
    done = render(project_in(tmp_path), axes=["texture"], images=["page.png"])
    assert done.returncode == 1
    assert done.stderr.strip().startswith("error: render.images: page.png is not an image that can be read")
    assert not (tmp_path / "data" / "frames").exists()


def test_sizes_that_were_not_collected_are_one_line(tmp_path):
    record(TASK, tmp_path / "data" / "trajectories" / TASK, EPISODES)
    done = render(tmp_path, axes=["size"])
    assert done.returncode == 1
    assert done.stderr.strip() == (
        "error: the trajectories of reacher_easy hold no episodes of size-0.50-0: run collect again (`dvc repro`)"
    )


def test_missing_trajectories_are_one_line(tmp_path):
    done = render(tmp_path)
    assert done.returncode == 1
    assert done.stderr.strip().startswith("error: data/trajectories/reacher_easy is missing")


def test_a_truncated_trajectory_file_is_one_line_and_leaves_no_output(tmp_path):
    file = project_in(tmp_path) / "data" / "trajectories" / TASK / FILE
    file.write_bytes(file.read_bytes()[:-100])
    done = render(tmp_path)
    assert done.returncode == 1
    assert done.stderr.strip().startswith(f"error: data/trajectories/{TASK}/{FILE} is truncated")
    assert not (tmp_path / "data" / "frames").exists()


def test_what_a_task_keeps_in_its_model_survives_the_file(project):
    assert load_trajectories(project / "data" / "trajectories" / TASK).model.keys() == {"geom_pos"}


def test_terrain_looks_the_same_the_second_time_in_one_process(tmp_path):
    """dm_control's own context, which quadruped's escape opens at reset, spoilt whatever was drawn next."""
    data = record("quadruped_escape", tmp_path)
    shots = []
    for _ in range(2):
        env = TaskEnv("quadruped_escape", ACTION_REPEAT, EPISODE_STEPS, View(SIZE, 0, "fast"))
        shots.append(env.reset(seed=int(data.index.seed[0]))[0]["image"])
        env.close()
    assert np.array_equal(*shots)
