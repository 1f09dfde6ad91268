"""Windows stay within one episode, are drawn uniformly, and go on exactly where a checkpoint left off."""

import dataclasses
import json
import os
import subprocess
import sys

import numpy as np
import pytest

from datasets.episodes import Trajectories
from datasets.errors import DataError
from datasets.windows import WindowSampler, window_starts
from tests.synthetic import ROOT, make_trajectories


@pytest.fixture
def uneven() -> Trajectories:
    """Episodes of 3, 10, 4 and 13 steps; the last is held out."""
    plain = make_trajectories(episodes=3, length=10, validation=0)
    ends = np.array([3, 13, 17, 30])
    return dataclasses.replace(
        plain, episode_ends=ends, quality=["random"] * 4, seed=np.arange(4), validation=ends == 30, variant=[]
    )


def test_every_start_that_fits_is_there_once(uneven):
    np.testing.assert_array_equal(window_starts(uneven, 4), [3, 4, 5, 6, 7, 8, 9, 13])
    np.testing.assert_array_equal(window_starts(uneven, 10), [3])
    np.testing.assert_array_equal(window_starts(uneven, 12, validation=True), [17, 18])


def test_no_window_crosses_an_episodes_end_or_touches_the_held_out(uneven):
    sampler = WindowSampler(window_starts(uneven, 4), batch=64, seed=0)
    episode_of = np.searchsorted(uneven.episode_ends, np.arange(30), side="right")
    for _ in range(50):
        episodes = episode_of[sampler.next()[:, None] + np.arange(4)]
        assert (episodes == episodes[:, :1]).all()
        assert not uneven.validation[episodes].any()


def test_starts_are_drawn_uniformly():
    from scipy.stats import chisquare

    starts = window_starts(make_trajectories(episodes=4, length=30, validation=1), 6)
    sampler = WindowSampler(starts, batch=500, seed=3)
    drawn = np.concatenate([sampler.next() for _ in range(40)])
    counts = np.array([(drawn == start).sum() for start in starts])
    assert counts.sum() == len(drawn)
    assert chisquare(counts).pvalue > 1e-3


def test_a_seed_decides_the_windows(uneven):
    starts = window_starts(uneven, 4)
    first, same, other = (WindowSampler(starts, 16, seed) for seed in (7, 7, 8))
    assert (first.next() == same.next()).all()
    assert (first.next() != other.next()).any()


def test_a_sampler_resumes_from_json_where_it_was(uneven):
    starts = window_starts(uneven, 4)
    sampler = WindowSampler(starts, 16, seed=1)
    sampler.next()
    state = json.loads(json.dumps(sampler.state_dict()))
    expected = [sampler.next() for _ in range(3)]
    resumed = WindowSampler(starts, 16, seed=99)
    resumed.load_state_dict(state)
    for rows in expected:
        np.testing.assert_array_equal(resumed.next(), rows)


def test_a_state_taken_is_not_moved_by_later_draws(uneven):
    sampler = WindowSampler(window_starts(uneven, 4), 16, seed=1)
    state = sampler.state_dict()
    expected = sampler.next()
    sampler.load_state_dict(state)
    np.testing.assert_array_equal(sampler.next(), expected)


@pytest.mark.parametrize("length", [11, 31])
def test_no_episode_long_enough_is_one_line(uneven, length):
    with pytest.raises(DataError) as error:
        window_starts(uneven, length)
    assert f"no window of {length} steps" in str(error.value)
    assert "longest training episode has 10" in str(error.value)


def test_groups_are_drawn_by_weight_and_uniformly_within(uneven):
    from scipy.stats import chisquare

    groups = [np.arange(10, dtype=np.int64), np.arange(100, 104, dtype=np.int64)]
    sampler = WindowSampler(groups, batch=400, seed=0, weights=[1.0, 3.0])
    drawn = np.concatenate([sampler.next() for _ in range(50)])
    counts = np.array([(drawn == start).sum() for start in np.concatenate(groups)])
    assert counts.sum() == len(drawn)
    assert chisquare(counts, len(drawn) * np.array([0.025] * 10 + [0.1875] * 4)).pvalue > 1e-3


def test_without_weights_every_start_is_as_likely_whatever_its_group():
    groups = [np.arange(10, dtype=np.int64), np.arange(100, 104, dtype=np.int64)]
    together = WindowSampler(np.concatenate(groups), batch=32, seed=5)
    apart = WindowSampler(groups, batch=32, seed=5)
    np.testing.assert_array_equal(together.next(), apart.next())


def test_processes_share_one_global_batch():
    starts = np.arange(1000, dtype=np.int64)
    whole = WindowSampler(starts, 12, seed=1)
    parts = [WindowSampler(starts, 12, seed=1, rank=rank, world=3) for rank in range(3)]
    for _ in range(5):
        np.testing.assert_array_equal(np.stack([part.next() for part in parts], axis=1).ravel(), whole.next())


SHARE = """
import json, sys
import numpy as np
from datasets.windows import WindowSampler, launched

rank, world = launched()
sampler = WindowSampler(np.arange(1000, dtype=np.int64), 12, seed=1, rank=rank, world=world)
drawn = [sampler.next().tolist() for _ in range(5)]
open(f"{sys.argv[1]}/{rank}.json", "w").write(json.dumps({"world": world, "drawn": drawn}))
"""


def test_torchrun_gives_each_process_its_share_of_what_one_would_draw(tmp_path):
    (tmp_path / "share.py").write_text(SHARE)
    command = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2", "share.py", str(tmp_path)]
    done = subprocess.run(
        command, cwd=tmp_path, env=os.environ | {"PYTHONPATH": str(ROOT)}, capture_output=True, text=True, timeout=120
    )
    assert done.returncode == 0, done.stderr
    parts = [json.loads((tmp_path / f"{rank}.json").read_text()) for rank in range(2)]
    assert [part["world"] for part in parts] == [2, 2]
    whole = WindowSampler(np.arange(1000, dtype=np.int64), 12, seed=1)
    for first, second in zip(*(part["drawn"] for part in parts), strict=True):
        assert len(first) == len(second) == 6
        np.testing.assert_array_equal(np.stack([first, second], axis=1).ravel(), whole.next())


@pytest.mark.parametrize("options", [{"weights": [1.0]}, {"weights": [1.0, 0.0]}, {"world": 5}])
def test_weights_and_processes_that_do_not_fit_are_refused(options):
    groups = [np.arange(10, dtype=np.int64), np.arange(4, dtype=np.int64)]
    with pytest.raises(ValueError):
        WindowSampler(groups, 12, seed=0, **options)
