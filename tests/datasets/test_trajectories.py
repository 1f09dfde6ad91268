"""Trajectories survive the disk exactly, and a file that does not hold together is refused."""

import dataclasses
import shutil
from pathlib import Path

import h5py
import numpy as np
import pytest

from datasets.episodes import EpisodeFacts, Trajectories
from datasets.errors import DataError
from datasets.manifest import sha256_file, write_manifest
from datasets.trajectories import FILE, TrajectoryReader, load_trajectories, save_trajectories
from datasets.trajectories import write_trajectories as write_file
from tests.datasets.damage import flip_byte, truncate
from tests.synthetic import TASK, make_trajectories, write_trajectories


@pytest.fixture
def data() -> Trajectories:
    plain = make_trajectories(episodes=5, length=9, validation=2)
    target = np.random.default_rng(1).normal(size=(5, 3))
    return dataclasses.replace(
        plain, model={"geom_pos": target}, meta={"action_repeat": 4, "mujoco": "3.3.7", "return_expert": 512.5}
    )


@pytest.fixture
def folder(tmp_path: Path, data: Trajectories) -> Path:
    write_trajectories(tmp_path, data)
    return tmp_path / "data" / "trajectories" / TASK


def refused(folder: Path, *words: str) -> None:
    with pytest.raises(DataError) as error:
        load_trajectories(folder)
    message = str(error.value)
    assert "\n" not in message
    assert str(folder / FILE) in message
    assert all(word in message for word in words), message


def test_what_is_saved_is_loaded_to_the_bit(data, folder):
    loaded = load_trajectories(folder)
    for field in dataclasses.fields(Trajectories):
        mine, theirs = getattr(data, field.name), getattr(loaded, field.name)
        if isinstance(mine, np.ndarray):
            assert mine.dtype == theirs.dtype, field.name
            np.testing.assert_array_equal(mine, theirs, err_msg=field.name)
        elif field.name == "model":
            np.testing.assert_array_equal(mine["geom_pos"], theirs["geom_pos"])
        else:
            assert mine == theirs, field.name
    assert {type(v) for v in loaded.meta.values()} == {int, str, float}


def test_the_same_data_gives_the_same_bytes(data, tmp_path):
    save_trajectories(data, tmp_path / "a.h5")
    save_trajectories(data, tmp_path / "b.h5")
    assert sha256_file(tmp_path / "a.h5") == sha256_file(tmp_path / "b.h5")


def test_any_hdf5_reader_reads_it(data, folder):
    with h5py.File(folder / FILE) as file:
        np.testing.assert_array_equal(file["reward"][:], data.reward)
        np.testing.assert_array_equal(file["episode_ends"][:], data.episode_ends)


def test_rows_and_episodes(data):
    assert data.rows_of(0) == slice(0, 9)
    assert data.rows_of(4) == slice(36, 45)
    assert data.episodes(validation=True) == [3, 4]
    assert data.episodes(validation=False) == [0, 1, 2]
    np.testing.assert_array_equal(np.flatnonzero(data.is_first), data.episode_starts)


def test_a_truncated_file_is_refused(folder):
    truncate(folder / FILE)
    refused(folder, "is truncated:")


@pytest.mark.parametrize("where", [0.01, 0.5, 0.99])
def test_a_flipped_byte_is_refused(folder, where):
    flip_byte(folder / FILE, where)
    refused(folder, "is corrupt:")


def test_a_file_of_another_kind_is_refused(folder):
    (folder / FILE).write_text("this is no HDF5")
    write_manifest(folder)
    refused(folder, "is not a trajectory file")


@pytest.mark.parametrize("name", ["reward", "quality", "episode_ends", "model"])
def test_a_missing_array_is_refused(folder, name):
    with h5py.File(folder / FILE, "r+") as file:
        del file[name]
    write_manifest(folder)
    refused(folder, "is not a trajectory file", name)


@pytest.mark.parametrize(
    ("name", "values", "word"),
    [
        ("action", np.zeros((3, 1), np.float32), "action has 3 rows"),
        ("episode_ends", np.array([9, 18, 27, 36, 44]), "episode_ends do not cover"),
        ("episode_ends", np.array([9, 9, 27, 36, 45]), "episode_ends do not cover"),
        ("episode_ends", np.array([], np.int64), "for 0 episodes"),
        ("quality", np.array([b"random"]), "quality has 1"),
        ("variant", np.array([b"default"]), "variant has 1"),
        ("validation", np.zeros(2, bool), "validation has 2"),
        ("seed", np.zeros(2, np.int64), "seed has 2"),
    ],
)
def test_arrays_that_do_not_fit_together_are_refused(folder, name, values, word):
    with h5py.File(folder / FILE, "r+") as file:
        del file[name]
        file[name] = values
    write_manifest(folder)
    refused(folder, word)


def test_an_episode_at_a_time_is_what_the_whole_file_holds(data, folder):
    whole = load_trajectories(folder)
    with TrajectoryReader(folder) as reader:
        assert (reader.index.task, reader.index.variant, reader.size_of("physics")) == (TASK, ["default"] * 5, 4)
        for number in range(5):
            episode = reader.episode(number)
            for name in ("physics", "observation", "action", "reward", "discount", "is_first", "is_terminal"):
                np.testing.assert_array_equal(getattr(episode, name), getattr(whole, name)[whole.rows_of(number)])
            np.testing.assert_array_equal(episode.model["geom_pos"], data.model["geom_pos"][number])


def test_episodes_of_another_body_are_kept_apart(data):
    resized = dataclasses.replace(data, variant=["default"] * 4 + ["size-1.00-0"])
    assert resized.episodes(validation=True) == [3]
    assert resized.episodes(validation=True, variant="size-1.00-0") == [4]


def test_a_field_that_an_episode_left_alone_is_stored_as_the_task_loads_it(data, folder, tmp_path):
    with TrajectoryReader(folder) as reader:
        episode = dataclasses.replace(reader.episode(0), model={})
    original = {"geom_pos": np.arange(3.0)}
    write_file(tmp_path / FILE, TASK, [(episode, EpisodeFacts("random", 0, False))], {}, original)
    write_manifest(tmp_path)
    np.testing.assert_array_equal(load_trajectories(tmp_path).model["geom_pos"], [original["geom_pos"]])


def test_a_missing_folder_is_refused(folder):
    shutil.rmtree(folder)
    with pytest.raises(DataError, match="missing"):
        load_trajectories(folder)
