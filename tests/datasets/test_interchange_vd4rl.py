"""V-D4RL's npz and HDF5 data becomes Encore's rows with every value where it belongs and every pixel as it was."""

from pathlib import Path

import numpy as np
import pytest

from datasets.interchange.episodes import Selection, read_episodes
from datasets.interchange.registry import detect, open_episodes
from tests.foreign import npz_arrays, write_npz_folder, write_vd4rl_hdf5


def read(path: Path, validation: float = 0.25):
    return list(read_episodes(open_episodes(Selection(path, None, "medium", validation), None)))


@pytest.mark.parametrize("kind", ["npz", "hdf5", "stacked"])
def test_every_row_holds_what_arrived_together(tmp_path, kind):
    made = write_npz_folder(tmp_path / "npz")
    if kind != "npz":
        write_vd4rl_hdf5(tmp_path / "hdf5" / "data.hdf5", made, stack=3 if kind == "stacked" else 1)
    episodes = read(tmp_path / ("npz" if kind == "npz" else "hdf5"))
    assert len(episodes) == 4
    by_start = {int(episode.frames[0, 0, 0, 0]): episode for episode in episodes}
    for number, arrays in enumerate(made):
        got = by_start[20 * number + 1]
        rows = len(arrays["reward"])
        np.testing.assert_array_equal(got.frames, arrays["image"])
        np.testing.assert_array_equal(got.rows.action, arrays["action"])
        np.testing.assert_array_equal(got.rows.reward, arrays["reward"])
        np.testing.assert_array_equal(got.rows.discount, arrays["discount"])
        np.testing.assert_array_equal(got.rows.is_terminal, arrays["is_terminal"])
        assert got.rows.is_first.tolist() == [True] + [False] * (rows - 1)
        assert got.rows.action[3].tolist() == [20 * number + 4, -3]  # led to the frame whose pixel says the same
        assert got.frames[3, 0, 0].tolist() == [20 * number + 4, 0, 1]
        assert got.rows.physics.shape == (rows, 0) and got.rows.observation.shape == (rows, 0)
        assert got.facts.quality == "medium" and got.facts.seed == -1


def test_types_are_encores(tmp_path):
    write_npz_folder(tmp_path / "npz")
    rows = read(tmp_path / "npz")[0].rows
    assert rows.physics.dtype == np.float64
    assert {getattr(rows, name).dtype for name in ("observation", "action", "reward", "discount")} == {np.dtype(np.float32)}
    assert rows.is_first.dtype == rows.is_terminal.dtype == bool


def test_held_out_episodes_come_last_and_are_spread_evenly(tmp_path):
    write_npz_folder(tmp_path / "npz", episodes=8)
    episodes = read(tmp_path / "npz", validation=0.25)
    assert [episode.facts.validation for episode in episodes] == [False] * 6 + [True] * 2
    assert [int(episode.frames[0, 0, 0, 0]) // 20 for episode in episodes] == [0, 1, 3, 4, 5, 7, 2, 6]


def test_at_least_one_episode_is_held_out_and_one_is_not(tmp_path):
    write_npz_folder(tmp_path / "npz", episodes=2)
    for validation in (0.01, 0.99):
        assert [episode.facts.validation for episode in read(tmp_path / "npz", validation)] == [False, True]


def test_what_stands_in_row_0_of_action_and_reward_is_replaced(tmp_path):
    (tmp_path / "npz").mkdir()
    for number in range(2):
        arrays = npz_arrays(5, 1)
        arrays["action"][0], arrays["reward"][0], arrays["discount"][0] = 7, np.nan, 0
        np.savez(tmp_path / "npz" / f"{number}.npz", **arrays)
    rows = read(tmp_path / "npz")[0].rows
    assert rows.action[0].tolist() == [0, 0] and rows.reward[0] == 0 and rows.discount[0] == 1


def test_older_npz_files_without_flags_are_read(tmp_path):
    (tmp_path / "npz").mkdir()
    for number in range(2):
        arrays = npz_arrays(5, 1, terminal=True)
        np.savez(tmp_path / "npz" / f"{number}.npz", **{k: v for k, v in arrays.items() if not k.startswith("is_")})
    rows = read(tmp_path / "npz")[0].rows
    assert rows.is_terminal.tolist() == [False] * 4 + [True] and rows.is_first[0]


def test_several_hdf5_files_are_one_source(tmp_path):
    made = write_npz_folder(tmp_path / "npz")
    write_vd4rl_hdf5(tmp_path / "hdf5" / "0.hdf5", made[:3])
    write_vd4rl_hdf5(tmp_path / "hdf5" / "1.hdf5", made[3:])
    assert sorted(int(e.frames[0, 0, 0, 0]) for e in read(tmp_path / "hdf5")) == [1, 21, 41, 61]


def test_both_kinds_are_recognised(tmp_path):
    made = write_npz_folder(tmp_path / "npz")
    write_vd4rl_hdf5(tmp_path / "hdf5" / "data.hdf5", made)
    assert [detect(p) for p in (tmp_path / "npz", tmp_path / "hdf5", tmp_path / "hdf5" / "data.hdf5")] == ["vd4rl"] * 3
