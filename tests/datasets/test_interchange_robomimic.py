"""robomimic's transitions become Encore's rows: shifted by one, the last next_obs included, its own split kept."""

from pathlib import Path

import numpy as np
import pytest

from datasets.errors import DataError
from datasets.interchange.episodes import Selection, read_episodes
from datasets.interchange.registry import detect, open_episodes
from tests.foreign import images, write_robomimic


def read(path: Path, camera: str | None = "agentview_image"):
    return list(read_episodes(open_episodes(Selection(path, camera, "expert", 0.34), None)))


def test_transitions_are_shifted_into_rows(tmp_path):
    write_robomimic(tmp_path / "image.hdf5")
    episode = read(tmp_path / "image.hdf5")[0]  # demo_0: five steps, six observations
    assert detect(tmp_path / "image.hdf5") == "robomimic"
    np.testing.assert_array_equal(episode.frames, images(6))
    assert episode.rows.action.tolist() == [[t, -t] for t in range(6)]
    np.testing.assert_allclose(episode.rows.reward, np.arange(6) / 10, rtol=1e-6)
    assert episode.rows.is_first.tolist() == [True] + [False] * 5
    assert episode.rows.is_terminal.tolist() == [False] * 5 + [True]  # the success at step 1 did not end it
    assert episode.rows.discount.tolist() == [1] * 5 + [0]
    assert episode.rows.observation.tolist() == [[t + 0.5, t, 10 * t] for t in range(6)]  # gripper, robot0_eef
    assert episode.rows.physics.shape == (6, 0)


def test_without_next_obs_the_last_step_is_lost(tmp_path):
    write_robomimic(tmp_path / "image.hdf5", next_obs=False)
    episode = read(tmp_path / "image.hdf5")[0]
    np.testing.assert_array_equal(episode.frames, images(6)[:5])
    assert episode.rows.action.tolist() == [[t, -t] for t in range(5)]
    assert not episode.rows.is_terminal.any()  # the end was never reached
    assert episode.rows.observation.shape == (5, 3)


def test_demonstrations_are_ordered_by_number(tmp_path):
    write_robomimic(tmp_path / "image.hdf5", lengths=(2,) * 11)
    episodes = read(tmp_path / "image.hdf5")
    starts = [int(e.frames[0, 0, 0, 0]) // 20 for e in episodes if not e.facts.validation]
    assert starts == sorted(starts) and len(starts) == 7


def test_the_files_own_split_is_kept(tmp_path):
    masks = {"valid": ["demo_0"], "train": ["demo_2"], "20_percent": ["demo_1"]}
    write_robomimic(tmp_path / "image.hdf5", masks=masks)
    episodes = read(tmp_path / "image.hdf5")
    assert [(int(e.frames[0, 0, 0, 0]) // 20, e.facts.validation) for e in episodes] == [(2, False), (0, True)]


@pytest.mark.parametrize(
    "masks", [{"valid": ["demo_0"], "train": ["demo_0", "demo_1"]}, {"valid": [f"demo_{n}" for n in range(3)]}]
)
def test_a_split_that_is_none_is_refused(tmp_path, masks):
    write_robomimic(tmp_path / "image.hdf5", masks=masks)
    with pytest.raises(DataError, match="mask/train and mask/valid"):
        read(tmp_path / "image.hdf5")


def test_the_control_rate_is_read(tmp_path):
    write_robomimic(tmp_path / "image.hdf5")
    source = open_episodes(Selection(tmp_path / "image.hdf5", "wrist_image", "expert", 0.34), "robomimic")
    assert source.meta == {"control_timestep": 0.05, "action_repeat": 1}
    assert source.camera == "wrist_image"
    np.testing.assert_array_equal(source.read(0).frames, images(6, 100))


@pytest.mark.parametrize("camera", [None, "front_image", "robot0_eef"])
def test_which_camera_must_be_clear(tmp_path, camera):
    write_robomimic(tmp_path / "image.hdf5")
    with pytest.raises(DataError, match="agentview_image, wrist_image"):
        read(tmp_path / "image.hdf5", camera)
