"""Exports opened by the other projects' own readers, in environments of their own (docs/interchange.md makes them).

ENCORE_LEROBOT_PYTHON=PATH/bin/python ENCORE_MINARI_PYTHON=PATH/bin/python pytest tests/datasets/test_interop.py
"""

import os
import subprocess
from pathlib import Path

import numpy as np
import pytest

from datasets.errors import UserError
from datasets.frames import load_frames_index, read_frame_shard
from datasets.trajectories import load_trajectories
from pipeline import export
from pipeline.export import Format
from tests.synthetic import TASK, enter_project, make_trajectories, write_params

DATA = make_trajectories(episodes=5, length=9, validation=2)

LEROBOT = """
import sys, numpy as np, torch
try:
    import torchvision
except RuntimeError:  # PyPI's torchvision beside a CPU torch lacks two operators, which no reader needs
    ops = torch.library.Library("torchvision", "DEF")
    ops.define("nms(Tensor dets, Tensor scores, float iou_threshold) -> Tensor")
    ops.define("qnms(Tensor dets, Tensor scores, float iou_threshold) -> Tensor")
from lerobot.datasets.lerobot_dataset import LeRobotDataset
data = LeRobotDataset("encore/test", root=sys.argv[1])
rows = [data[i] for i in range(len(data))]
names = {"image": "observation.image", "state": "observation.state", "action": "action", "reward": "next.reward"}
names |= {"done": "next.done", "episode": "episode_index", "index": "frame_index", "time": "timestamp"}
np.savez(sys.argv[2], fps=data.fps, **{key: np.stack([np.asarray(row[name]) for row in rows]) for key, name in names.items()})
"""
MINARI = """
import os, sys, numpy as np
path, out = sys.argv[1:]
os.environ["MINARI_DATASETS_PATH"] = os.path.dirname(path)
import minari
data = minari.load_dataset(os.path.basename(path))
found = {}
for episode in data.iterate_episodes():
    found |= {f"{episode.id}/{name}": values for name, values in episode.observations.items()}
    for name in ("actions", "rewards", "terminations", "truncations"):
        found[f"{episode.id}/{name}"] = getattr(episode, name)
    assert data.observation_space["image"].contains(episode.observations["image"][0])
np.savez(out, **found)
"""


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    enter_project(tmp_path, monkeypatch, DATA)
    write_params(tmp_path, lambda values: None)
    return tmp_path


def stored(variant: str) -> dict[int, np.ndarray]:
    """Encore's own frames by episode."""
    folder = Path("data/frames") / TASK
    frames: dict[int, list[np.ndarray]] = {}
    for shard in load_frames_index(folder).of(variant).shards:
        for episode, _, frame in read_frame_shard(folder / shard.file):
            frames.setdefault(episode, []).append(frame)
    return {episode: np.stack(pictures) for episode, pictures in frames.items()}


def read_by(variable: str, code: str, folder: Path, out: Path) -> dict[str, np.ndarray]:
    python = os.environ.get(variable)
    if not python:
        pytest.skip(f"name an interpreter that has the reader in {variable}")
    clean = {k: v for k, v in os.environ.items() if not k.startswith("PYTHON")} | {"HF_HUB_OFFLINE": "1"}
    done = subprocess.run(
        [python, "-c", code, str(folder), str(out)], cwd=out.parent, env=clean, capture_output=True, text=True, timeout=300
    )
    assert done.returncode == 0, done.stderr
    with np.load(out) as file:
        return dict(file)


@pytest.mark.parametrize("variant", ["default", "texture-0.50-0"])
def test_lerobot_reads_every_frame_action_and_reward(project: Path, variant: str):
    export.main(TASK, Format.lerobot, project / "out", variant)
    read = read_by("ENCORE_LEROBOT_PYTHON", LEROBOT, project / "out", project / "read.npz")
    data, frames = load_trajectories(Path("data/trajectories") / TASK), stored(variant)
    row = 0
    for number, (episode, pictures) in enumerate(frames.items()):
        own = data.rows_of(episode)
        for t in range(len(pictures) - 1):  # an observation beside the action taken at it, and what came of it
            picture = np.rint(read["image"][row].transpose(1, 2, 0) * 255).astype(np.uint8)
            assert np.array_equal(picture, pictures[t])
            assert np.array_equal(read["state"][row], data.observation[own.start + t])
            assert np.array_equal(np.ravel(read["action"][row]), data.action[own.start + t + 1])
            assert read["reward"][row] == data.reward[own.start + t + 1]
            assert (read["episode"][row], read["index"][row]) == (number, t)
            assert read["time"][row] == pytest.approx(t / read["fps"])
            row += 1
    assert row == len(read["reward"])


@pytest.mark.parametrize("variant", ["default", "texture-0.50-0"])
def test_minari_reads_every_frame_action_and_reward(project: Path, variant: str):
    export.main(TASK, Format.minari, project / "walk-v0", variant)
    read = read_by("ENCORE_MINARI_PYTHON", MINARI, project / "walk-v0", project / "read.npz")
    data, frames = load_trajectories(Path("data/trajectories") / TASK), stored(variant)
    for number, (episode, pictures) in enumerate(frames.items()):
        own = data.rows_of(episode)
        assert np.array_equal(read[f"{number}/image"], pictures)
        assert np.array_equal(read[f"{number}/state"], data.observation[own])
        assert np.array_equal(read[f"{number}/actions"], data.action[own][1:])
        assert np.array_equal(read[f"{number}/rewards"], data.reward[own][1:])
        assert read[f"{number}/truncations"].tolist() == [False] * (len(pictures) - 2) + [True]
    assert len(read) == 6 * len(frames)


def test_an_export_appears_whole_or_not_at_all(project: Path):
    shard = next((Path("data/frames") / TASK / "default").glob("*.tar"))
    shard.write_bytes(shard.read_bytes()[:2000])
    with pytest.raises(UserError, match="truncated"):
        export.main(TASK, Format.lerobot, project / "out")
    assert not [path for path in project.iterdir() if "out" in path.name]


def test_what_cannot_be_exported_is_one_line(project: Path):
    (project / "there").mkdir()
    with pytest.raises(UserError, match="there exists: name a new folder"):
        export.main(TASK, Format.lerobot, project / "there")
    with pytest.raises(UserError, match="is no Minari dataset id: end --out in a folder named like out-v0"):
        export.main(TASK, Format.minari, project / "out")
    with pytest.raises(UserError, match="no frames of look 'camera-9' were rendered"):
        export.main(TASK, Format.lerobot, project / "out", "camera-9")
