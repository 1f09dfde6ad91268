"""Windows of collected and own episodes: valid, mixed as asked for, resumable."""

from pathlib import Path

import numpy as np
import pytest

from datasets.embeddings import Embeddings
from datasets.errors import DataError
from datasets.windows import window_starts
from tests.synthetic import make_trajectories
from trainers.agent.episodes import Episode, load_episodes, save_episodes
from trainers.agent.replay import Replay
from trainers.data import load_rows

LENGTH = 6


def _replay(fraction: float, batch: int = 8, dtype: type = np.float32, seed: int = 0) -> Replay:
    data = make_trajectories()
    values = data.observation.astype(dtype)
    rows = load_rows(data, Embeddings(values, {"rows": [[0, len(values)]]}), data.episodes(validation=False))
    return Replay(rows, window_starts(data, LENGTH), batch, LENGTH, fraction, seed)


def _episode(length: int, mark: float) -> Episode:
    first = np.arange(length) == 0
    observation = np.stack([np.full(5, mark + t, np.float32) for t in range(length)])
    return Episode(observation, np.zeros((length, 1), np.float32), np.ones(length, np.float32), first, np.zeros(length, bool))


def test_windows_never_cross_an_episodes_end():
    replay = _replay(0.0)
    for i in range(7):
        replay.add(_episode(LENGTH + i, 1000.0 * (i + 1)))
    seen = set()
    for _ in range(200):
        batch, _ = replay.sample()
        assert not batch.is_first[:, 1:].any()
        steps = batch.observation[..., 0].diff(dim=1)
        assert (steps == 1).all()
        seen.update(batch.observation[:, 0, 0].int().tolist())
    assert seen == {1000 * (i + 1) + start for i in range(7) for start in range(i + 1)}  # every window there is


def test_a_batch_is_mixed_as_asked_for():
    replay = _replay(0.25)
    assert (replay.sample()[0].observation.abs() < 2).all()  # nothing of its own yet: all from the collected episodes
    replay.add(_episode(20, 1000.0))
    own = replay.sample()[0].observation[:, 0, 0] >= 1000
    assert own.tolist() == [False] * 2 + [True] * 6


def test_an_episode_shorter_than_a_window_is_never_drawn():
    replay = _replay(0.5)
    replay.add(_episode(LENGTH - 1, 1000.0))
    assert replay.online_rows == LENGTH - 1
    assert (replay.sample()[0].observation < 1000).all()


def test_own_rows_are_kept_in_the_stored_precision():
    replay = _replay(0.0, dtype=np.float16)
    replay.add(_episode(20, 0.0))
    batch, _ = replay.sample()
    assert str(batch.observation.dtype) == "torch.float16"


def test_frames_of_both_kinds_come_with_their_rows():
    data = make_trajectories()
    frames = np.zeros((len(data.reward), 4, 4, 3), np.uint8)
    stored = [Embeddings(values, {"rows": [[0, len(frames)]]}) for values in (data.observation, frames)]
    rows = load_rows(data, stored[0], data.episodes(validation=False), frames=stored[1])
    replay = Replay(rows, window_starts(data, LENGTH), 8, LENGTH, 0.25, 0)
    assert replay.sample()[0].frames.shape == (8, LENGTH, 4, 4, 3)
    replay.add(_episode(20, 100.0)._replace(frames=np.arange(100, 120, dtype=np.uint8)[:, None, None, None] * frames[:1].clip(1)))
    batch, _ = replay.sample()
    assert not batch.frames[:2].any() and (batch.frames[2:, :, 0, 0, 0] == batch.observation[2:, :, 0]).all()


def test_draws_go_on_exactly_from_a_saved_state():
    first, second = _replay(0.5), _replay(0.5, seed=9)
    for replay in (first, second):
        replay.add(_episode(30, 1000.0))
    first.sample()
    second.load_state(first.state())
    assert (first.sample()[0].observation == second.sample()[0].observation).all()


def test_windows_come_with_the_numbers_of_their_first_rows():
    data, replay = make_trajectories(), _replay(0.5)
    replay.add(_episode(20, 1000.0))
    batch, starts = replay.sample()
    first = batch.observation[:, 0].numpy()
    np.testing.assert_array_equal(first[:4], data.observation[starts[:4].numpy()])
    assert (first[4:, 0] - 1000 == starts[4:].numpy() - len(data.reward)).all()


def test_episodes_survive_the_disk(tmp_path: Path):
    episodes = [_episode(4, 1.0), _episode(9, 2.0)]
    for frames in (False, True):
        if frames:
            episodes = [e._replace(frames=np.full((len(e.reward), 4, 4, 3), 7, np.uint8)) for e in episodes]
        save_episodes(tmp_path / "round.npz", episodes)
        for saved, loaded in zip(episodes, load_episodes(tmp_path / "round.npz"), strict=True):
            for name, a, b in zip(Episode._fields, saved, loaded, strict=True):
                assert (a is b is None) if name == "frames" and not frames else a.dtype == b.dtype and np.array_equal(a, b)


@pytest.mark.parametrize("damage", ["missing", "truncated", "foreign"])
def test_damaged_episodes_are_named(tmp_path: Path, damage: str):
    path = tmp_path / "round.npz"
    if damage != "missing":
        save_episodes(path, [_episode(50, 1.0)])
        path.write_bytes(path.read_bytes()[:300] if damage == "truncated" else b"not an archive")
    with pytest.raises(DataError, match=r"round\.npz is missing or damaged"):
        load_episodes(path)
