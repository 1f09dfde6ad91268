"""The probe finds what is linearly there, nothing where nothing is, and its interval tells the two apart."""

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
