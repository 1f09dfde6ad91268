"""Damaged, truncated, foreign and empty sources are one line that names the file; nothing in them is ever run."""

import os
import pickle
from collections.abc import Callable
from pathlib import Path

import h5py
import numpy as np
import pytest

from datasets.errors import DataError
from datasets.interchange.episodes import Selection, read_episodes
from datasets.interchange.registry import open_episodes
from tests.foreign import images, npz_arrays, write_npz_folder, write_robomimic, write_vd4rl_hdf5


def failure(path: Path, format_name: str | None = None, camera: str | None = None) -> str:
    with pytest.raises(DataError) as caught:
        list(read_episodes(open_episodes(Selection(path, camera, "expert", 0.5), format_name)))
    message = str(caught.value)
    assert "\n" not in message
    return message


def npz(folder: Path, change: Callable[[dict], None]) -> Path:
    folder.mkdir()
    for number in range(2):
        arrays = npz_arrays(5, 1)
        change(arrays)
        np.savez_compressed(folder / f"{number}.npz", **arrays)
    return folder


def cut(path: Path, share: float) -> None:
    path.write_bytes(path.read_bytes()[: int(path.stat().st_size * share)])


@pytest.mark.parametrize("format_name", [None, "vd4rl", "robomimic"])
def test_a_missing_path(tmp_path, format_name):
    assert str(tmp_path / "none") in failure(tmp_path / "none", format_name)


@pytest.mark.parametrize("format_name", [None, "vd4rl", "robomimic"])
@pytest.mark.parametrize("what", ["empty folder", "empty file", "text", "other HDF5", "pointer.npz"])
def test_what_is_of_no_known_format(tmp_path, what, format_name):
    path = tmp_path / ("data.npz" if what == "pointer.npz" else "data.hdf5")
    if what == "empty folder":
        path.mkdir()
    elif what == "other HDF5":
        with h5py.File(path, "w") as file:
            file["numbers"] = np.arange(3)
    else:
        path.write_text("" if what == "empty file" else "version https://git-lfs.github.com/spec/v1\n")
    assert str(path) in failure(path, format_name) or format_name is None


@pytest.mark.parametrize("share", [0.0, 0.3, 0.99])
def test_a_truncated_npz(tmp_path, share):
    write_npz_folder(tmp_path / "npz")
    victim = sorted((tmp_path / "npz").iterdir())[2]
    cut(victim, share)
    assert str(victim) in failure(tmp_path / "npz")


def test_a_flipped_byte_in_an_npz(tmp_path):
    write_npz_folder(tmp_path / "npz")
    victim = sorted((tmp_path / "npz").iterdir())[2]
    data = bytearray(victim.read_bytes())
    data[1000] ^= 1
    victim.write_bytes(data)
    assert str(victim) in failure(tmp_path / "npz")


@pytest.mark.parametrize("share", [0.3, 0.99])
@pytest.mark.parametrize("kind", ["vd4rl", "robomimic"])
def test_a_truncated_hdf5_file(tmp_path, kind, share):
    path = tmp_path / "data.hdf5"
    if kind == "vd4rl":
        write_vd4rl_hdf5(path, [npz_arrays(6, 1), npz_arrays(6, 21)])
    else:
        write_robomimic(path)
    cut(path, share)
    assert str(path) in failure(path, kind)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda a: a.pop("reward"), "reward"),
        (lambda a: a.update(reward=a["reward"][:3]), "3"),
        (lambda a: a.update(image=a["image"][:3]), "3 images for 5 rows"),
        (lambda a: a.update(image=a["image"].astype(np.float32)), "float32"),
        (lambda a: a.update(image=a["image"][:, :8]), "8 x 16 pixels, square ones expected"),
        (lambda a: a.update(image=a["image"][..., :1]), "uint8"),
        (lambda a: a.update(action=np.full_like(a["action"], np.nan)), "not finite"),
        (lambda a: a.update(action=a["action"][:, 0]), "action"),
        (lambda a: a.update(action=np.array(["x"] * 5)), "action"),
        (lambda a: a.update(reward=np.zeros(())), "rows expected"),
        (lambda a: a.update({k: v[:1] for k, v in a.items()}), "1 row(s)"),
        (lambda a: a.update(is_first=np.array([1, 0, 0, 1, 0], bool)), "is_first"),
        (lambda a: a.update(image=a["image"].astype(object)), "pickle"),
    ],
)
def test_an_npz_whose_arrays_are_wrong(tmp_path, change, words):
    message = failure(npz(tmp_path / "npz", change))
    assert words in message and "0.npz" in message


def test_objects_in_a_file_are_never_unpickled(tmp_path):
    class Trap:
        def __reduce__(self):
            return os.mkdir, (str(tmp_path / "sprung"),)

    folder = npz(tmp_path / "npz", lambda a: a.update(reward=np.array([Trap()] * 5, object)))
    (folder / "2.npz").write_bytes(pickle.dumps(Trap()))
    failure(folder)
    assert not (tmp_path / "sprung").exists()


def test_one_episode_cannot_be_split(tmp_path):
    write_npz_folder(tmp_path / "npz", episodes=1)
    assert "at least 2" in failure(tmp_path / "npz")


def test_episodes_of_different_sizes_are_no_one_task(tmp_path):
    write_npz_folder(tmp_path / "npz", episodes=2)
    np.savez(tmp_path / "npz" / "3.npz", **(npz_arrays(6, 1) | {"image": images(6, size=8)}))
    assert "frame shape" in failure(tmp_path / "npz")


def test_both_kinds_of_vd4rl_in_one_folder(tmp_path):
    write_npz_folder(tmp_path / "data")
    write_vd4rl_hdf5(tmp_path / "data" / "data.hdf5", [npz_arrays(6, 1), npz_arrays(6, 21)])
    assert "both kinds" in failure(tmp_path / "data")


def test_vd4rl_has_no_cameras_to_choose_from(tmp_path):
    write_npz_folder(tmp_path / "npz")
    assert "camera" in failure(tmp_path / "npz", camera="front")


def test_a_file_that_begins_within_an_episode(tmp_path):
    arrays = [{name: values[2:] for name, values in npz_arrays(6, 1).items()}, npz_arrays(6, 21)]
    write_vd4rl_hdf5(tmp_path / "data.hdf5", arrays)
    assert "first step" in failure(tmp_path / "data.hdf5")


def test_hdf5_columns_of_different_lengths(tmp_path):
    write_vd4rl_hdf5(tmp_path / "data.hdf5", [npz_arrays(6, 1), npz_arrays(6, 21)])
    with h5py.File(tmp_path / "data.hdf5", "a") as file:
        del file["reward"]
        file["reward"] = np.zeros(5)
    assert "differ in length" in failure(tmp_path / "data.hdf5")


@pytest.mark.parametrize("damage", ["no actions", "short rewards", "no obs", "short next_obs", "no demos", "empty demo", "text"])
def test_a_robomimic_file_that_lacks_something(tmp_path, damage):
    path = tmp_path / "image.hdf5"
    write_robomimic(path)
    with h5py.File(path, "a") as file:
        demo = file["data/demo_1"]
        if damage == "no actions":
            del demo["actions"]
        elif damage == "short rewards":
            del demo["rewards"]
            demo["rewards"] = np.zeros(2)
        elif damage == "no obs":
            del demo["obs"]
        elif damage == "short next_obs":
            del demo["next_obs/gripper"]
        elif damage == "no demos":
            del file["data"]
            file.create_group("data")
        elif damage == "empty demo":
            for name in ("actions", "rewards", "dones", "obs/agentview_image", "next_obs/agentview_image"):
                values = demo[name][:0]
                del demo[name]
                demo[name] = values
        else:
            del demo["actions"]
            demo["actions"] = "forward"
    assert str(path) in failure(path, "robomimic", "agentview_image")
