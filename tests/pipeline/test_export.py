"""The export command: whole or not at all, never over something that is there."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from datasets.errors import DataError, UserError
from pipeline.export import DEFAULT_FPS, Format, frames_per_second, main
from tests.datasets.damage import flip_byte
from tests.synthetic import ROOT, TASK, enter_project, make_trajectories, write_params


@pytest.fixture
def project(tmp_path, monkeypatch):
    enter_project(tmp_path, monkeypatch, make_trajectories(episodes=4, length=6))
    write_params(tmp_path)
    return tmp_path


def left_over(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir()) if folder.is_dir() else []


@pytest.mark.parametrize(("kind", "name"), [("lerobot", "cartpole"), ("minari", "cartpole-v0")])
def test_the_command_writes_a_folder(project, kind, name):
    command = [sys.executable, "-m", "pipeline.export", "--task", TASK, "--format", kind, "--out", f"exports/{name}"]
    done = subprocess.run(command, cwd=project, env={"PYTHONPATH": str(ROOT)}, capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr
    assert left_over(project / "exports") == [name]
    again = subprocess.run(command, cwd=project, env={"PYTHONPATH": str(ROOT)}, capture_output=True, text=True, timeout=60)
    assert again.returncode == 1 and "exists" in again.stderr and "Traceback" not in again.stderr


def test_a_shifted_look_has_the_held_out_episodes(project):
    main(TASK, Format.lerobot, Path("shifted"), "texture-0.50-0")
    info = json.loads(Path("shifted/meta/info.json").read_text())
    assert info["total_episodes"] == 2 and info["splits"] == {"validation": "0:2"}


def test_a_look_that_was_not_rendered_is_named(project):
    with pytest.raises(DataError, match="camera-9"):
        main(TASK, Format.minari, Path("out-v0"), "camera-9")


def test_a_failed_export_leaves_nothing(project):
    flip_byte(Path("data/frames") / TASK / "default" / "000001.tar")
    with pytest.raises(DataError, match=r"000001\.tar"):
        main(TASK, Format.lerobot, Path("exports/out"))
    assert left_over(Path("exports")) == []


def test_an_unknown_task_and_a_bad_id_are_named(project):
    with pytest.raises(UserError, match="walker_walk"):
        main("walker_walk", Format.lerobot, Path("out"))
    with pytest.raises(UserError, match="out-v0"):
        main(TASK, Format.minari, Path("out"))


def test_frames_per_second_follow_the_control_step(capsys):
    assert frames_per_second({"control_timestep": 0.01, "action_repeat": 4}) == pytest.approx(25)
    assert frames_per_second({"control_timestep": 0.05}) == pytest.approx(20)
    assert frames_per_second({"action_repeat": 4}) == DEFAULT_FPS
    assert "does not say" in capsys.readouterr().err
