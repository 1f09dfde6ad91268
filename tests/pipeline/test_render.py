"""Frames are exactly what the simulation looked like, under every look; the same inputs give the same bytes."""

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from dm_control import suite
from PIL import Image

from datasets.frames import Look, load_frames_index, read_frame_shard
from datasets.manifest import digest, verify, write_manifest
from datasets.trajectories import FILE, Trajectories, load_trajectories, save_trajectories
from pipeline.sim.env import TaskEnv, View
from pipeline.sim.names import TASKS
from pipeline.sim.recording import join_episodes, record_episode, uniform
from pipeline.sim.replay import Replayer
from tests.synthetic import ROOT, write_params

TASK = "reacher_easy"
DEFAULT = Look("default", "default", 0.0, 0, "id")
ACTION_REPEAT, EPISODE_STEPS, EPISODES, SIZE = 4, 40, 5, 48


def trajectories(task: str, episodes: int = 2) -> Trajectories:
    env = TaskEnv(task, ACTION_REPEAT, EPISODE_STEPS)
    played = [record_episode(env, seed, uniform(env, seed)) for seed in range(episodes)]
    held_out = [episode >= episodes - 2 for episode in range(episodes)]
    return join_episodes(task, played, ["random"] * episodes, range(episodes), held_out, env.simulation.pristine, {})


def render(project: Path, **changes) -> subprocess.CompletedProcess[str]:
    def change(values):
        values["tasks"] = [TASK]
        values["compute"]["workers"] = 2
        values["render"].update({"size": SIZE, "severities": [0.5, 1.0], "episodes_per_shard": 2} | changes)

    write_params(project, change)
    environment = os.environ | {"PYTHONPATH": str(ROOT), "ENCORE_STORE": str(project / "store")}
    command = [sys.executable, "-m", "pipeline.render", "--task", TASK]
    return subprocess.run(command, cwd=project, env=environment, capture_output=True, text=True, timeout=300)


def project_with(data: Trajectories, project: Path) -> Path:
    folder = project / "data" / "trajectories" / TASK
    folder.mkdir(parents=True)
    save_trajectories(data, folder / FILE)
    write_manifest(folder)
    return project


@pytest.fixture(scope="module")
def data() -> Trajectories:
    return trajectories(TASK, EPISODES)


@pytest.fixture(scope="module")
def folder(data: Trajectories, tmp_path_factory: pytest.TempPathFactory) -> Path:
    project = project_with(data, tmp_path_factory.mktemp("render"))
    done = render(project)
    assert done.returncode == 0, done.stderr
    return project / "data" / "frames" / TASK


@pytest.mark.parametrize("task", ["cartpole_swingup", "reacher_easy", "walker_walk", "finger_turn_easy", "swimmer_swimmer6"])
@pytest.mark.parametrize("axis", ["default", "lighting"])
def test_a_replayed_row_is_the_frame_the_environment_showed(task, axis):
    """Whatever the task moved in its model (a target, a light), episode by episode, in any order."""
    look = Look(f"{axis}-1.00-0", axis, float(axis != "default"), 0, "ood")
    data = trajectories(task)
    env = TaskEnv(task, ACTION_REPEAT, EPISODE_STEPS, View(SIZE, 0, "fast", look))
    shown = []
    for episode in range(2):
        rows = data.rows_of(episode)
        shown.append(env.reset(seed=int(data.seed[episode]))[0]["image"])
        shown += [env.step(data.action[row])[0]["image"] for row in range(rows.start + 1, rows.stop)]
    env.close()
    with Replayer(data, look, SIZE, 0, "fast") as replayer:
        for row in reversed(range(len(shown))):
            assert np.array_equal(replayer.frame(row), shown[row])


def test_moved_terrain_is_drawn():
    data = trajectories("quadruped_escape")
    with Replayer(data, DEFAULT, SIZE, 0, "fast") as both:
        frames = [both.frame(data.rows_of(episode).start) for episode in (0, 1)]
    with Replayer(data, DEFAULT, SIZE, 0, "fast") as fresh:
        assert np.array_equal(fresh.frame(data.rows_of(1).start), frames[1])
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


def test_the_default_look_has_all_episodes_and_the_others_the_held_out_ones(folder, data):
    index = load_frames_index(folder)
    verify(folder)
    assert (index.task, index.size, index.camera, index.quality) == (TASK, SIZE, "fixed", "fast")
    assert [len(frames.shards) for frames in index.sets] == [3] + [1] * 6
    assert index.of("default").rows == [[0, len(data.reward)]]
    assert {str(frames.rows) for frames in index.sets[1:]} == {str([[data.rows_of(3).start, len(data.reward)]])}


def test_every_tar_holds_whole_episodes_of_the_right_frames(folder, data):
    for frames in load_frames_index(folder).sets:
        with Replayer(data, frames.look, SIZE, 0, "fast") as replayer:
            for shard in frames.shards:
                stored = list(read_frame_shard(folder / shard.file))
                expected = [(e, t) for e in shard.episodes for t in range(EPISODE_STEPS // ACTION_REPEAT + 1)]
                assert [(episode, t) for episode, t, _ in stored] == expected
                for episode, t, frame in stored[::7]:
                    assert np.array_equal(frame, replayer.frame(data.rows_of(episode).start + t))


def test_a_contact_sheet_shows_every_look(folder):
    with Image.open(folder / "contact_sheet.png") as sheet:
        assert sheet.size == (7 * 132 - 4, 14 + 3 * 132 - 4)


def test_the_same_inputs_give_the_same_bytes(folder, data, tmp_path):
    assert render(project_with(data, tmp_path)).returncode == 0
    assert digest(tmp_path / "data" / "frames" / TASK) == digest(folder)


def test_an_unknown_camera_is_one_line_and_leaves_no_output(data, tmp_path):
    done = render(project_with(data, tmp_path), camera="nowhere")
    assert done.returncode == 1
    assert done.stderr.strip().startswith("error: render.camera: this task has no camera 'nowhere'; it has 0 (fixed)")
    assert len(done.stderr.strip().splitlines()) == 1
    assert not (tmp_path / "data" / "frames").exists()


def test_missing_trajectories_are_one_line(tmp_path):
    done = render(tmp_path)
    assert done.returncode == 1
    assert done.stderr.strip().startswith("error: data/trajectories/reacher_easy is missing")


def test_a_truncated_trajectory_file_is_one_line_and_leaves_no_output(data, tmp_path):
    file = project_with(data, tmp_path) / "data" / "trajectories" / TASK / FILE
    file.write_bytes(file.read_bytes()[:-100])
    done = render(tmp_path)
    assert done.returncode == 1
    assert done.stderr.strip().startswith(f"error: data/trajectories/{TASK}/{FILE} is truncated")
    assert not (tmp_path / "data" / "frames").exists()


def test_recorded_episodes_survive_their_files(data, tmp_path):
    assert load_trajectories(project_with(data, tmp_path) / "data" / "trajectories" / TASK).model.keys() == {"geom_pos"}
