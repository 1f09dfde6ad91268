"""Frames keep every pixel, their tars' bytes follow from the frames alone, plain webdataset reads them, damage is refused."""

from pathlib import Path

import numpy as np
import pytest

from datasets.episodes import Trajectories
from datasets.errors import DataError
from datasets.frames import (
    LOOKS,
    Frames,
    FrameSet,
    FrameShard,
    Look,
    frames_digest,
    load_frames_index,
    read_frame_rows,
    read_frame_shard,
    save_frames_index,
    write_frame_shard,
)
from datasets.manifest import sha256_file, verify, write_manifest
from datasets.png import encoded
from tests.datasets.damage import flip_byte, truncate
from tests.synthetic import TASK, make_trajectories, write_frames

Clip = list[tuple[int, int, np.ndarray]]


@pytest.fixture
def clip() -> Clip:
    rng = np.random.default_rng(0)
    return [(e, t, rng.integers(0, 256, (24, 20, 3), dtype=np.uint8)) for e in (3, 11) for t in range(4)]


@pytest.fixture
def data() -> Trajectories:
    return make_trajectories(episodes=6, length=5, validation=2)


@pytest.fixture
def folder(tmp_path: Path, data: Trajectories) -> Path:
    write_frames(tmp_path, data, size=16)
    return tmp_path / "data" / "frames" / TASK


def refused(path: Path, *words: str) -> None:
    with pytest.raises(DataError) as error:
        list(read_frame_shard(path))
    message = str(error.value)
    assert "\n" not in message
    assert message.startswith(f"{path} is truncated or damaged")
    assert all(word in message for word in words), message


def test_frames_come_back_to_the_pixel_in_order(clip, tmp_path):
    write_frame_shard(tmp_path / "a.tar", clip)
    read = list(read_frame_shard(tmp_path / "a.tar"))
    assert [key[:2] for key in read] == [key[:2] for key in clip]
    for (_, _, got), (_, _, frame) in zip(read, clip, strict=True):
        np.testing.assert_array_equal(got, frame)


def test_only_frames_asked_for_are_decoded(clip, tmp_path):
    write_frame_shard(tmp_path / "a.tar", clip)
    assert [key[:2] for key in read_frame_shard(tmp_path / "a.tar", lambda e, t: e == 11 and t > 1)] == [(11, 2), (11, 3)]


def test_the_same_frames_give_the_same_bytes_on_any_day(clip, tmp_path, monkeypatch):
    write_frame_shard(tmp_path / "a.tar", clip)
    monkeypatch.setattr("time.time", lambda: 2_000_000_000.0)
    monkeypatch.setenv("USER", "someone-else")
    write_frame_shard(tmp_path / "b.tar", clip)
    assert sha256_file(tmp_path / "a.tar") == sha256_file(tmp_path / "b.tar")


def test_no_half_written_tar_takes_the_final_name(clip, tmp_path):
    def interrupted():
        yield from clip[:3]
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        write_frame_shard(tmp_path / "a.tar", interrupted())
    assert not (tmp_path / "a.tar").exists()


@pytest.mark.filterwarnings("ignore::ResourceWarning", "ignore::pytest.PytestUnraisableExceptionWarning")  # webdataset's own
def test_plain_webdataset_reads_the_tars(clip, tmp_path):
    import webdataset

    write_frame_shard(tmp_path / "a.tar", clip)
    samples = list(webdataset.WebDataset(str(tmp_path / "a.tar"), shardshuffle=False).decode("rgb8"))
    assert [s["__key__"] for s in samples] == [f"{e:06d}_{t:06d}" for e, t, _ in clip]
    np.testing.assert_array_equal(samples[-1]["png"], clip[-1][2])


@pytest.mark.parametrize("keep", [0.05, 0.3, 0.6, 0.8])
def test_a_truncated_tar_is_refused(clip, tmp_path, keep):
    path = tmp_path / "a.tar"
    write_frame_shard(path, clip)
    truncate(path, keep)
    refused(path)


def test_a_tar_cut_between_two_frames_is_refused(clip, tmp_path):
    path = tmp_path / "a.tar"
    write_frame_shard(path, clip)
    member = 512 + -(-len(encoded(clip[0][2])) // 512) * 512
    path.write_bytes(path.read_bytes()[:member])
    refused(path, "cut")


def test_a_damaged_header_does_not_end_a_tar_early(clip, tmp_path):
    path = tmp_path / "a.tar"
    write_frame_shard(path, clip)
    second = 512 + -(-len(encoded(clip[0][2])) // 512) * 512
    flip_byte(path, (second + 10.5) / path.stat().st_size)
    refused(path)


@pytest.mark.parametrize("content", [b"", b"no tar at all", bytes(100)])
def test_what_is_no_tar_is_refused(tmp_path, content):
    (tmp_path / "a.tar").write_bytes(content)
    refused(tmp_path / "a.tar")


def test_a_missing_tar_is_refused(tmp_path):
    refused(tmp_path / "a.tar", "No such file")


@pytest.mark.parametrize("where", [0.02, 0.3, 0.7])
def test_a_flipped_byte_in_a_tar_is_named_before_any_frame_is_used(folder, where):
    tar = folder / "texture-0.50-0" / "000000.tar"
    flip_byte(tar, where)
    with pytest.raises(DataError) as error:
        verify(folder)
    assert f"{tar} is corrupt" in str(error.value)


def test_the_index_comes_back_as_it_was(tmp_path):
    look = Look("camera-0.25-1", "camera", 0.25, 1, "ood")
    frames = Frames(
        TASK, 64, "0", "fast", [FrameSet(look, [FrameShard("camera-0.25-1/000000.tar", [2, 3], [[20, 30], [30, 40]])])]
    )
    save_frames_index(frames, tmp_path)
    write_manifest(tmp_path)
    assert load_frames_index(tmp_path) == frames


def test_adjacent_row_ranges_are_joined():
    shards = [FrameShard("a", [0], [[0, 5]]), FrameShard("b", [1], [[5, 9]]), FrameShard("c", [4], [[20, 24]])]
    assert FrameSet(Look("default", "default", 0.0, 0, "id"), shards).rows == [[0, 9], [20, 24]]


@pytest.mark.parametrize("text", ["", "{}", "[]", '{"task": "x", "sets": [{"look": {}, "shards": []}]}'])
def test_a_damaged_index_is_refused(folder, text):
    (folder / LOOKS).write_text(text)
    with pytest.raises(DataError) as error:
        load_frames_index(folder)
    assert f"{folder / LOOKS} is damaged" in str(error.value)
    assert "\n" not in str(error.value)


def test_a_look_that_was_not_rendered_is_named(folder):
    with pytest.raises(DataError, match=r"'lighting-1\.00-0'"):
        load_frames_index(folder).of("lighting-1.00-0")


def test_rows_are_read_across_tars_in_trajectory_order(folder, data):
    frames = load_frames_index(folder).of("default")
    everything = list(read_frame_rows(folder, frames, data.episode_starts, np.arange(len(data.reward))))
    rows = np.array([0, 4, 5, 13, 29])
    chosen = list(read_frame_rows(folder, frames, data.episode_starts, rows))
    assert len(everything) == len(data.reward)
    for got, row in zip(chosen, rows, strict=True):
        np.testing.assert_array_equal(got, everything[row])


def test_a_row_without_a_frame_is_an_error(folder, data):
    shifted = load_frames_index(folder).of("texture-0.50-0")
    with pytest.raises(DataError, match="1 of 2 frames"):
        list(read_frame_rows(folder, shifted, data.episode_starts, np.array([0, 25])))


def test_the_digest_of_a_look_follows_its_frames_alone(folder):
    before = {v: frames_digest(folder, v) for v in ("default", "texture-0.50-0")}
    assert before["default"] != before["texture-0.50-0"]
    write_frame_shard(folder / "default" / "000000.tar", [(0, 0, np.zeros((16, 16, 3), np.uint8))])
    write_manifest(folder)
    assert frames_digest(folder, "default") != before["default"]
    assert frames_digest(folder, "texture-0.50-0") == before["texture-0.50-0"]


@pytest.mark.parametrize("threads", [1, 3])
def test_threads_decode_the_same_frames_in_order_and_find_damage(tmp_path: Path, clip: Clip, threads: int):
    write_frame_shard(tmp_path / "a.tar", clip)
    for (episode, t, frame), read in zip(clip, read_frame_shard(tmp_path / "a.tar", threads=threads), strict=True):
        assert read[:2] == (episode, t)
        assert np.array_equal(read[2], frame)
    flip_byte(tmp_path / "a.tar", 700 / (tmp_path / "a.tar").stat().st_size)  # of the first frame's pixels
    with pytest.raises(DataError, match="truncated or damaged"):
        list(read_frame_shard(tmp_path / "a.tar", threads=threads))
