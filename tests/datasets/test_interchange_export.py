"""Exports hold what the trajectory file and the tars hold, in the layout and alignment of each format (the projects' own readers
open them in test_interop.py)."""

import io
import json
from pathlib import Path
from types import SimpleNamespace

import h5py
import numpy as np
import polars as pl
import pytest
from PIL import Image

from datasets.errors import DataError
from datasets.frames import load_frames_index
from datasets.interchange import lerobot
from datasets.interchange.exported import exported_episodes
from datasets.interchange.lerobot_stats import image_stats, together, vector_stats
from datasets.interchange.minari import check_dataset_id, write_minari
from datasets.trajectories import TrajectoryReader
from tests.synthetic import TASK, make_trajectories, write_frames, write_trajectories


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """Trajectories (one episode ends for good) and frames, and both exports of the default look."""
    root = tmp_path_factory.mktemp("export")
    data = make_trajectories(episodes=5, length=7)
    data.is_terminal[data.episode_ends[1] - 1], data.discount[data.episode_ends[1] - 1] = True, 0
    write_trajectories(root, data)
    write_frames(root, data, size=16)
    with TrajectoryReader(root / "data/trajectories" / TASK) as reader:
        folder = root / "data/frames" / TASK
        frames = load_frames_index(folder).of("default")
        episodes = list(exported_episodes(reader, folder, frames))
        lerobot.write_lerobot(root / "lerobot", TASK, iter(episodes), 25.0)
        write_minari(root / "swing-v0", "swing-v0", iter(episodes))
    return SimpleNamespace(root=root, data=data, episodes=episodes)


def test_lerobot_pairs_an_observation_with_what_was_done_and_what_came_of_it(made):
    table = pl.read_parquet(made.root / "lerobot/data/chunk-000/file-000.parquet")
    assert len(table) == 5 * 6
    for number, episode in enumerate(made.episodes):
        own = table.filter(pl.col("episode_index") == number)
        rows = episode.rows
        np.testing.assert_array_equal(own["observation.state"].to_numpy(), rows.observation[:-1])
        np.testing.assert_array_equal(own["action"].to_numpy(), rows.action[1:, 0])  # of shape [1]: a plain column
        np.testing.assert_array_equal(own["next.reward"].to_numpy(), rows.reward[1:])
        assert own["next.done"].to_list() == [False] * 5 + [True]
        assert own["next.truncated"].to_list() == [False] * 5 + [number != 1]
        pixels = [np.asarray(Image.open(io.BytesIO(image["bytes"]))) for image in own["observation.image"]]
        np.testing.assert_array_equal(pixels, episode.frames[:-1])
        np.testing.assert_allclose(own["timestamp"].to_numpy(), np.arange(6) / 25, rtol=1e-6)
        assert own["frame_index"].to_list() == list(range(6))
    assert table["index"].to_list() == list(range(30))


def test_lerobots_metadata_describes_it(made):
    info = json.loads((made.root / "lerobot/meta/info.json").read_text())
    assert (info["codebase_version"], info["fps"], info["total_episodes"], info["total_frames"]) == ("v3.0", 25, 5, 30)
    assert info["splits"] == {"train": "0:3", "validation": "3:5"}
    assert info["features"]["observation.image"] == {
        "dtype": "image",
        "shape": [16, 16, 3],
        "names": ["height", "width", "channels"],
    }
    assert info["features"]["next.reward"] == {"dtype": "float32", "shape": [1], "names": None}
    episodes = pl.read_parquet(made.root / "lerobot/meta/episodes/chunk-000/file-000.parquet")
    assert episodes["dataset_from_index"].to_list() == [0, 6, 12, 18, 24]
    assert episodes["dataset_to_index"].to_list() == [6, 12, 18, 24, 30]
    assert episodes["tasks"].to_list() == [[TASK]] * 5
    assert episodes["quality"].to_list() == made.data.quality


def test_lerobots_statistics_are_those_of_all_frames(made):
    stats = json.loads((made.root / "lerobot/meta/stats.json").read_text())
    states = np.concatenate([e.rows.observation[:-1] for e in made.episodes]).astype(np.float64)
    pixels = np.concatenate([e.frames[:-1] for e in made.episodes]).astype(np.float64) / 255
    for name, function in (("min", np.min), ("max", np.max), ("mean", np.mean), ("std", np.std)):
        np.testing.assert_allclose(stats["observation.state"][name], function(states, axis=0), rtol=1e-6)
        expected = function(pixels, axis=(0, 1, 2)).reshape(3, 1, 1)
        np.testing.assert_allclose(stats["observation.image"][name], expected, rtol=1e-6)
    assert stats["action"]["count"] == [30]


def test_statistics_of_episodes_of_different_lengths_are_weighted():
    rng = np.random.default_rng(0)
    clips = [rng.integers(0, 256, (n, 4, 4, 3), dtype=np.uint8) for n in (1, 5)]
    values = [rng.normal(size=(n, 2)) + n for n in (1, 5)]
    joined = together([{"i": image_stats(c), "v": vector_stats(v)} for c, v in zip(clips, values, strict=True)])
    for whole, got in ((image_stats(np.concatenate(clips)), joined["i"]), (vector_stats(np.concatenate(values)), joined["v"])):
        assert whole.keys() == got.keys()
        for name in whole:
            np.testing.assert_allclose(got[name], whole[name], atol=1e-12)


def test_lerobot_starts_a_new_file_when_one_is_full(made, tmp_path, monkeypatch):
    monkeypatch.setattr(lerobot, "_FILE_BYTES", 1)
    monkeypatch.setattr(lerobot, "_CHUNK_FILES", 2)
    lerobot.write_lerobot(tmp_path / "many", TASK, iter(made.episodes), 25.0)
    files = sorted(f.relative_to(tmp_path / "many/data").as_posix() for f in (tmp_path / "many/data").rglob("*.parquet"))
    assert files == [f"chunk-{n // 2:03d}/file-{n % 2:03d}.parquet" for n in range(5)]
    places = pl.read_parquet(tmp_path / "many/meta/episodes/chunk-000/file-000.parquet")
    assert places.select("data/chunk_index", "data/file_index").rows() == [(n // 2, n % 2) for n in range(5)]


def test_minari_holds_one_observation_more_than_actions(made):
    metadata = json.loads((made.root / "swing-v0/data/metadata.json").read_text())
    assert (metadata["dataset_id"], metadata["total_episodes"], metadata["total_steps"]) == ("swing-v0", 5, 30)
    with h5py.File(made.root / "swing-v0/data/main_data.hdf5") as file:
        for number, episode in enumerate(made.episodes):
            group = file[f"episode_{number}"]
            np.testing.assert_array_equal(group["observations/image"][:], episode.frames)
            np.testing.assert_array_equal(group["observations/state"][:], episode.rows.observation)
            np.testing.assert_array_equal(group["actions"][:], episode.rows.action[1:])
            np.testing.assert_array_equal(group["rewards"][:], episode.rows.reward[1:])
            assert group["terminations"][:].tolist() == [False] * 5 + [number == 1]
            assert group["truncations"][:].tolist() == [False] * 5 + [number != 1]


def test_a_minari_id_must_have_a_version():
    assert check_dataset_id("cartpole_swingup-v0") == "cartpole_swingup-v0"
    for name in ("cartpole", "cart pole-v0", "cartpole-v"):
        with pytest.raises(DataError, match="-v0"):
            check_dataset_id(name)


@pytest.mark.parametrize("write", [lambda f: write_minari(f, "a-v0", []), lambda f: lerobot.write_lerobot(f, "a", [], 10.0)])
def test_nothing_to_export_is_one_line(tmp_path, write):
    with pytest.raises(DataError, match="no episodes"):
        write(tmp_path / "out")


def test_frames_that_do_not_fit_the_trajectories_are_refused(made, tmp_path):
    other = make_trajectories(episodes=5, length=8)
    write_trajectories(tmp_path, other)
    folder: Path = made.root / "data/frames" / TASK
    wrong = pytest.raises(DataError, match="7 frames of episode 0, 8 expected")
    with TrajectoryReader(tmp_path / "data/trajectories" / TASK) as reader, wrong:
        list(exported_episodes(reader, folder, load_frames_index(folder).of("default")))
