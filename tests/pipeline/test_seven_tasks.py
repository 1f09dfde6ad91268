"""The study's tasks, end to end: collected, rendered under every axis, and simulated and drawn again to the bit."""

from pathlib import Path

import polars as pl
import pytest

from datasets.frames import load_frames_index, read_frame_shard
from datasets.manifest import verify
from datasets.trajectories import TrajectoryReader
from pipeline import collect, render
from pipeline.sim.check import CheckJob, check_episode
from pipeline.sim.names import ALL, AXES
from tests.synthetic import write_params

TASKS = ["cartpole_swingup", "cheetah_run", "ball_in_cup_catch", "finger_spin", "walker_walk", "pendulum_swingup", "reacher_easy"]
FEW = {"random": 2, "medium": 1, "replay": 1, "expert": 1}
HELD_OUT = {"random": 1, "medium": 0, "replay": 0, "expert": 0}


@pytest.mark.parametrize("task", TASKS)
def test_a_task_is_collected_rendered_and_replayed(task: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    def change(values):
        values["tasks"] = [task]
        values["compute"]["workers"] = 1
        values["collect"] |= {"action_repeat": 4, "episode_steps": 60, "episodes": FEW, "validation": HELD_OUT}
        values["collect"]["size"] = {"severities": [1.0], "looks_per_severity": 1, "episodes": HELD_OUT}
        values["collect"]["sac"].update(steps=120, learning_starts=50, checkpoint_every=60, hidden=8, batch=8)
        values["render"].update(size=32, axes=[*AXES, ALL], severities=[1.0])

    write_params(tmp_path, change)
    monkeypatch.chdir(tmp_path)
    collect.main(task)
    render.main(task)
    trajectories, folder = Path("data/trajectories") / task, Path("data/frames") / task
    verify(folder)
    frames = load_frames_index(folder)
    assert [s.look.axis for s in frames.sets] == ["default", *(a for a in AXES if a != "size"), ALL, "size"]
    for frame_set in frames.sets:
        for shard in frame_set.shards:
            assert sum(1 for _ in read_frame_shard(folder / shard.file)) == 16 * len(shard.episodes)
    measured = pl.read_parquet(folder / "look_statistics.parquet").filter(pl.col("axis") != "size")
    assert measured["pixel_change"].min() > 0.1
    with TrajectoryReader(trajectories) as data:
        assert data.index.quality == ["random", "medium", "replay", "expert", "random", "random"]
        assert data.index.variant == ["default"] * 5 + ["size-1.00-0"]
        episodes = range(len(data.index.episode_ends))
    replayed = [check_episode(CheckJob(trajectories, folder, episode)) for episode in episodes]
    assert all(one.exact and one.steps == one.pictures == 16 for one in replayed), replayed
