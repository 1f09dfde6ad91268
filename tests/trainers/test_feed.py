"""Batches are the same wherever rows are held, and go on exactly where a checkpoint left off."""

import dataclasses
from pathlib import Path

import numpy as np
import psutil
import pytest
import torch

from datasets.embedding_shards import ARRAY, EmbeddingWriter, Layout
from datasets.episodes import Trajectories
from datasets.mapped import MappedRows
from datasets.windows import WindowSampler, window_starts
from tests.synthetic import make_trajectories
from trainers.data import Rows, join_rows
from trainers.feed import HeldFeed, MappedFeed, Part, place
from trainers.worldmodel import Batch

DATA = make_trajectories(episodes=12, length=40, validation=2)
LENGTH, BATCH = 9, 8


@pytest.fixture
def looks(tmp_path: Path) -> list[np.ndarray]:
    """Two looks of the same rows, stored under `tmp_path`."""
    rng = np.random.default_rng(0)
    found = []
    for number in range(2):
        values = rng.normal(size=(len(DATA.reward), 6)).astype(np.float16)
        writer = EmbeddingWriter(tmp_path / str(number), Layout(len(values), (6,), "float16", 16, 64), {})
        for index in range(-(-len(values) // 64)):
            writer.write(index, values[index * 64 : (index + 1) * 64])
        found.append(values)
    return found


def _sampler(looks: int = 2) -> WindowSampler:
    starts = window_starts(DATA, LENGTH)
    return WindowSampler(np.concatenate([starts + number * len(DATA.reward) for number in range(looks)]), BATCH, seed=4)


def _mapped(folder: Path, looks: int = 2) -> MappedFeed:
    parts = [Part(DATA, MappedRows(folder / str(number) / ARRAY)) for number in range(looks)]
    return MappedFeed(parts, _sampler(looks), BATCH, LENGTH, "cpu")


def _held(looks: list[np.ndarray]) -> HeldFeed:
    rows, _ = join_rows([_rows(DATA, values) for values in looks], [window_starts(DATA, LENGTH)] * len(looks))
    return HeldFeed(rows, _sampler(len(looks)), LENGTH)


def _rows(data: Trajectories, values: np.ndarray) -> Rows:
    rest = (data.action, data.reward, data.is_first, data.is_terminal)
    return Rows(*map(torch.from_numpy, (values, *rest)))


def _copy(batch: Batch) -> list[torch.Tensor]:
    return [values.clone() for values in batch if values is not None]


def test_mapped_and_held_rows_give_the_same_batches(tmp_path: Path, looks: list[np.ndarray]):
    held, mapped = _held(looks), _mapped(tmp_path)
    for _ in range(20):
        for expected, found in zip(_copy(held.next()), _copy(mapped.next()), strict=True):
            assert expected.dtype == found.dtype
            torch.testing.assert_close(found, expected, rtol=0, atol=0)
    rows = np.array([0, 41, 200])
    torch.testing.assert_close(mapped.observations(rows), held.observations(rows))


@pytest.mark.parametrize("looks_read", [1, 2])
def test_frames_come_with_the_rows_they_belong_to(tmp_path: Path, looks: list[np.ndarray], looks_read: int):
    """A frame's pixels say which look and row it is of, however it is held."""
    parts, rows = [], []
    for number, values in enumerate(looks[:looks_read]):
        frames = np.zeros((len(values), 4, 4, 3), np.uint8)
        frames[:, :, :, 0], frames[:, 0, 0, 1:] = number, np.stack(divmod(np.arange(len(values)), 256), -1)
        writer = EmbeddingWriter(tmp_path / f"frames-{number}", Layout(len(values), (4, 4, 3), "uint8", 16, 1024), {})
        writer.write(0, frames)
        parts.append(Part(DATA, MappedRows(tmp_path / str(number) / ARRAY), MappedRows(tmp_path / f"frames-{number}" / ARRAY)))
        rows.append(_rows(DATA, values)._replace(frames=torch.from_numpy(frames)))
    joined, _ = join_rows(rows, [window_starts(DATA, LENGTH)] * looks_read)
    held = HeldFeed(joined, _sampler(looks_read), LENGTH)
    mapped = MappedFeed(parts, _sampler(looks_read), BATCH, LENGTH, "cpu")
    everything = np.concatenate(looks[:looks_read])
    for _ in range(5):
        expected, found = held.next(), mapped.next()
        assert found.frames.dtype == torch.uint8 and torch.equal(found.frames, expected.frames)
        look, high, low = found.frames[:, :, 0, 0].long().unbind(-1)
        row = look * len(DATA.reward) + 256 * high + low
        assert (everything[row.numpy()] == found.observation.numpy()).all()
    some = np.array([0, 41, 200])
    assert torch.equal(held.frames(some), mapped.frames(some)) and mapped.frames(some)[:, 0, 0, 2].tolist() == some.tolist()
    assert _held(looks).frames(some) is None and _mapped(tmp_path).frames(some) is None


def test_one_look_is_read_straight_into_the_batch(tmp_path: Path, looks: list[np.ndarray]):
    held, mapped = _held(looks[:1]), _mapped(tmp_path, 1)
    for _ in range(5):
        torch.testing.assert_close(mapped.next().observation, held.next().observation, rtol=0, atol=0)


def test_tasks_are_drawn_by_weight_and_keep_their_own_rows_and_actions(tmp_path: Path):
    """Two tasks with 1 and 3 actions: a window's rows are one task's, its missing actions 0, mapped or held."""
    other = dataclasses.replace(
        make_trajectories(episodes=5, length=30, validation=1, seed=1), task="reacher_easy", action=np.ones((150, 3), np.float32)
    )
    tasks, parts, held = (DATA, other), [], []
    for number, data in enumerate(tasks):
        values = np.full((len(data.reward), 6), number, np.float16)
        writer = EmbeddingWriter(tmp_path / data.task, Layout(len(values), (6,), "float16", 16, 1024), {})
        writer.write(0, values)
        parts.append(Part(data, MappedRows(tmp_path / data.task / ARRAY)))
        held.append(_rows(data, values))
    rows, groups = join_rows(held, [window_starts(data, LENGTH) for data in tasks])
    feeds = [
        HeldFeed(rows, WindowSampler(groups, 40, 0, weights=[1.0, 3.0]), LENGTH),
        MappedFeed(parts, WindowSampler(groups, 40, 0, weights=[1.0, 3.0]), 40, LENGTH, "cpu"),
    ]
    drawn = []
    for _ in range(25):
        batch, mapped = (feed.next() for feed in feeds)
        for expected, found in zip(batch, mapped, strict=True):
            torch.testing.assert_close(found, expected, rtol=0, atol=0)
        second = batch.observation[:, :, 0] == 1
        assert second.eq(second[:, :1]).all()
        assert batch.action[second[:, 0]].eq(1).all() and batch.action[~second[:, 0], :, 1:].eq(0).all()
        drawn.append(second[:, 0].float().mean())
    assert abs(float(torch.stack(drawn).mean()) - 0.75) < 0.05  # four standard deviations of 1,000 draws


def test_what_was_read_ahead_is_not_part_of_the_state(tmp_path: Path, looks: list[np.ndarray]):
    feed = _mapped(tmp_path)
    for _ in range(3):
        feed.next()
    state = feed.state_dict()
    expected = [_copy(feed.next()) for _ in range(4)]
    resumed = _mapped(tmp_path)
    resumed.load_state_dict(state)
    for batch in expected:
        for wanted, found in zip(batch, _copy(resumed.next()), strict=True):
            torch.testing.assert_close(found, wanted, rtol=0, atol=0)
    with pytest.raises(RuntimeError):
        resumed.load_state_dict(state)


def test_a_batch_stays_as_it_is_until_the_next_one_is_asked_for(tmp_path: Path, looks: list[np.ndarray]):
    feed = _mapped(tmp_path)
    for _ in range(10):
        batch = feed.next()
        before = _copy(batch)
        torch.randn(200, 200) @ torch.randn(200, 200)  # while the thread reads ahead
        for values, kept in zip(_copy(batch), before, strict=True):
            assert torch.equal(values, kept)


def test_an_error_while_reading_ahead_is_raised_where_the_batch_was_due(tmp_path: Path, looks: list[np.ndarray]):
    sampler = WindowSampler(np.array([10**9]), BATCH, seed=0)
    feed = MappedFeed([Part(DATA, MappedRows(tmp_path / "0" / ARRAY))], sampler, BATCH, LENGTH, "cpu")
    with pytest.raises(IndexError):
        feed.next()


def test_rows_are_mapped_where_they_do_not_fit_in_memory(monkeypatch: pytest.MonkeyPatch):
    assert place(10, True, "cpu")[0] == "ram"
    memory = psutil.virtual_memory()._replace(available=100)
    monkeypatch.setattr(psutil, "virtual_memory", lambda: memory)
    assert place(60, True, "cpu")[0] == "ram"
    where, why = place(61, True, "cpu")
    assert where == "map" and "mapped" in why
    assert place(61, False, "cpu")[0] == "ram"  # compressed: there is no other way
