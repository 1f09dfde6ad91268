"""`collect` as a command: what it writes is exact, mixed, held out as asked, and the same bytes whatever the workers."""

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from datasets.episodes import Trajectories
from datasets.manifest import digest
from datasets.trajectories import load_trajectories
from pipeline.sim.env import TaskEnv
from pipeline.sim.recording import NOISES
from pipeline.sim.schedule import _spread
from tests.synthetic import ROOT, write_params

QUALITIES = ("random", "medium", "replay", "expert")
TASK = "reacher_easy"  # it keeps its target in the model
ACTION_REPEAT, EPISODE_STEPS, WORKERS = 4, 100, {"one": 1, "three": 3}


def settings(workers: int, **collect):
    def change(values):
        values["tasks"] = [TASK]
        values["compute"]["workers"] = workers
        values["collect"].update(
            action_repeat=ACTION_REPEAT, episode_steps=EPISODE_STEPS,
            episodes={"random": 3, "medium": 2, "replay": 4, "expert": 2},
            validation={"random": 1, "medium": 0, "replay": 2, "expert": 1},
            size={"severities": [1.0], "looks_per_severity": 2, "episodes": dict.fromkeys(QUALITIES, 1)}, **collect,
        )  # fmt: skip
        values["collect"]["sac"].update(steps=220, learning_starts=50, checkpoint_every=100, hidden=16, batch=32)

    return change


def collect(project: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "pipeline.collect", "--task", TASK, *arguments]
    environment = os.environ | {"PYTHONPATH": str(ROOT), "ENCORE_STORE": str(project / "store")}
    return subprocess.run(command, cwd=project, env=environment, capture_output=True, text=True, timeout=300)


@pytest.fixture(scope="module")
def folders(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """The same collected twice, with one worker and with three."""
    made = {}
    for name, workers in WORKERS.items():
        project = tmp_path_factory.mktemp(name)
        write_params(project, settings(workers))
        done = collect(project)
        assert done.returncode == 0, done.stderr
        made[name] = project / "data" / "trajectories" / TASK
    return made


@pytest.fixture(scope="module")
def data(folders: dict[str, Path]) -> Trajectories:
    return load_trajectories(folders["one"])


def test_twice_gives_the_same_bytes_whatever_the_number_of_workers(folders):
    assert digest(folders["one"]) == digest(folders["three"])


def test_qualities_and_held_out_episodes_are_as_asked(data):
    quality = np.array(data.quality)
    own = quality[:11]
    assert {q: int((own == q).sum()) for q in QUALITIES} == {"random": 3, "medium": 2, "replay": 4, "expert": 2}
    assert sorted(own[data.validation[:11]]) == ["expert", "random", "replay", "replay"]
    assert np.array_equal(data.validation, [False] * 7 + [True] * 12)  # held out comes last
    assert len(set(data.seed.tolist())) == 19


def test_resized_bodies_have_held_out_episodes_of_their_own(data):
    assert data.variant == ["default"] * 11 + ["size-1.00-0"] * 4 + ["size-1.00-1"] * 4
    assert [look.variant for look in data.sizes] == ["size-1.00-0", "size-1.00-1"]
    assert sorted(data.quality[11:15]) == sorted(QUALITIES)
    assert data.episodes(validation=True) == [7, 8, 9, 10]
    assert data.episodes(validation=True, variant="size-1.00-1") == [15, 16, 17, 18]


def test_rows_hold_what_arrives_together(data):
    steps = EPISODE_STEPS // ACTION_REPEAT
    assert np.array_equal(np.diff(data.episode_ends, prepend=0), [steps + 1] * 19)
    assert np.array_equal(np.flatnonzero(data.is_first), data.episode_starts)
    assert not data.action[data.is_first].any()
    assert not data.reward[data.is_first].any()
    assert data.physics.dtype == np.float64
    assert {data.observation.dtype, data.action.dtype, data.reward.dtype, data.discount.dtype} == {np.dtype(np.float32)}


def test_every_episode_replays_exactly_from_its_seed_and_actions(data):
    bodies = {"default": None} | {look.variant: look for look in data.sizes}
    for episode in range(19):
        env = TaskEnv(TASK, ACTION_REPEAT, EPISODE_STEPS, look=bodies[data.variant[episode]])
        rows = data.rows_of(episode)
        observation, _ = env.reset(seed=int(data.seed[episode]))
        assert np.array_equal(env.simulation.model.geom_pos, data.model["geom_pos"][episode])
        for row in range(rows.start, rows.stop):
            if row > rows.start:
                observation, reward, terminated, truncated, info = env.step(data.action[row])
                assert np.float32(reward) == data.reward[row]
                assert (terminated, np.float32(info["discount"])) == (data.is_terminal[row], data.discount[row])
                assert truncated == (row == rows.stop - 1)
            assert np.array_equal(observation["state"], data.observation[row])
            assert np.array_equal(env.physics_state(), data.physics[row])


def test_replay_is_spread_evenly_over_the_learning():
    assert _spread(4, 8) == [1, 3, 5, 7]
    assert _spread(36, 48) == sorted(set(_spread(36, 48)))
    assert (min(_spread(36, 48)), max(_spread(36, 48))) == (0, 47)
    assert _spread(3, 3) == [0, 1, 2]
    assert _spread(0, 3) == []


def test_the_file_states_the_returns_of_its_behaviour(data):
    for quality in QUALITIES:
        totals = [data.reward[data.rows_of(e)].sum(dtype=np.float64) for e in range(11) if data.quality[e] == quality]
        assert data.meta[f"return_{quality}"] == pytest.approx(np.mean(totals))
    assert data.meta["action_repeat"] == ACTION_REPEAT
    assert {"version_mujoco", "version_dm_control"} <= set(data.meta)


def test_more_replay_than_sac_has_episodes_is_one_line_and_leaves_no_output(tmp_path):
    change = settings(1)

    def more(values):
        change(values)
        values["collect"]["episodes"]["replay"] = 40

    write_params(tmp_path, more)
    done = collect(tmp_path)
    assert done.returncode == 1
    line = done.stderr.strip().splitlines()[-1]
    assert line.startswith("error: collect.episodes.replay is 40, but SAC finishes 8 episodes in 220 steps")
    assert not (tmp_path / "data").exists()


def test_a_task_that_is_not_among_the_params_is_one_line(tmp_path):
    write_params(tmp_path, settings(1))
    command = [sys.executable, "-m", "pipeline.collect", "--task", "cheetah_run"]
    done = subprocess.run(command, cwd=tmp_path, env=os.environ | {"PYTHONPATH": str(ROOT)}, capture_output=True, text=True)
    assert done.returncode == 1
    assert done.stderr.strip() == "error: --task cheetah_run: not among the tasks of the params file: reacher_easy"


def test_ou_noise_is_correlated_in_time_and_as_wide_as_uniform():
    env = TaskEnv(TASK, ACTION_REPEAT, 40_000)
    acts = {name: noise(env, 0) for name, noise in NOISES.items()}
    drawn = {name: np.stack([act(np.zeros(1, np.float32)) for _ in range(4000)]) for name, act in acts.items()}
    correlation = {name: np.corrcoef(x[:-1, 0], x[1:, 0])[0, 1] for name, x in drawn.items()}
    assert correlation["ou"] == pytest.approx(1 - 0.15, abs=0.05)
    assert abs(correlation["uniform"]) < 0.05
    assert drawn["ou"].std() == pytest.approx(drawn["uniform"].std(), rel=0.15)
    assert np.abs(drawn["ou"]).max() <= 1
    again = NOISES["ou"](env, 0)
    assert np.array_equal(drawn["ou"][:9], np.stack([again(np.zeros(1, np.float32)) for _ in range(9)]))
