"""The probe finds what is linearly there, nothing where nothing is, and its interval tells the two apart."""

import dataclasses

import numpy as np

from benchmarks.probe import difference, probe
from tests.synthetic import make_trajectories

DATA = make_trajectories(episodes=24, length=41, validation=8)


def test_the_state_is_found_where_it_lies_and_not_in_noise():
    rng = np.random.default_rng(0)
    mixed = DATA.observation @ rng.normal(size=(5, 12)) + 3
    noise = rng.normal(size=(len(mixed), 12))
    there, absent = probe(mixed.astype(np.float16), DATA), probe(noise, DATA)
    assert there.r2.min() > 0.99
    assert absent.r2.max() < 0.2
    low, mean, high = difference(absent.error.mean(1), there.error.mean(1))
    assert 0 < low < mean < high


def test_two_equally_blind_representations_do_not_differ():
    rng = np.random.default_rng(1)
    first, second = (probe(rng.normal(size=(len(DATA.reward), 6)), DATA) for _ in range(2))
    low, _, high = difference(first.error.mean(1), second.error.mean(1))
    assert low < 0 < high


def test_a_constant_dimension_is_no_harm():
    held = np.concatenate([DATA.observation, np.ones((len(DATA.reward), 1))], axis=1)
    assert probe(held, DATA).r2.min() > 0.99


def test_episodes_of_resized_bodies_which_the_default_look_lacks_are_left_out():
    more = make_trajectories(episodes=26, length=41, validation=10)
    resized = dataclasses.replace(more, variant=["default"] * 24 + ["size-1.00-0"] * 2)
    first = slice(0, 24 * 41)
    whole = dataclasses.replace(
        more, episode_ends=more.episode_ends[:24], validation=more.validation[:24], variant=[],
        observation=more.observation[first], reward=more.reward[first],
    )  # fmt: skip
    held = more.observation.astype(np.float16)
    held[24 * 41 :] = np.nan  # rows without frames
    found, expected = probe(held, resized), probe(held[first], whole)
    assert np.array_equal(found.error, expected.error)
    assert np.array_equal(found.r2, expected.r2)
    assert found.r2.min() > 0.99
