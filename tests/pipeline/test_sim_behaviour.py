"""SAC leaves policies and episodes that can be used without it, the same bits for the same seed."""

from types import SimpleNamespace

import numpy as np
import pytest
from gymnasium import ObservationWrapper

from pipeline.sim.behaviour import Actor, Learning, _actor_weights, learn_sac
from pipeline.sim.env import TaskEnv
from pipeline.sim.recording import read_arrays, record_episode, replayed, write_arrays

TASK = "finger_spin"
SETTINGS = SimpleNamespace(
    steps=130, hidden=16, batch=32, learning_rate=1e-3, learning_starts=40, checkpoint_every=50, discount=0.98, gradient_steps=1
)


def learn(seed: int) -> Learning:
    return learn_sac(TaskEnv(TASK, 4, 100), SETTINGS, seed, 1, track=iter)


@pytest.fixture(scope="module")
def learning() -> Learning:
    return learn(0)


def test_checkpoints_are_regular_and_include_the_end(learning):
    assert list(learning.checkpoints) == [50, 100, 130]
    assert not np.array_equal(learning.checkpoints[50]["kernel0"], learning.checkpoints[130]["kernel0"])


def test_every_finished_episode_is_kept(learning):
    assert [actions.shape for _, actions in learning.episodes] == [(25, 2)] * 5  # 130 steps of 25-step episodes


def test_the_same_seed_gives_the_same_bits_and_another_does_not(learning):
    again, other = learn(0).arrays(), learn(1).arrays()
    arrays = learning.arrays()
    assert list(again) == list(arrays)
    assert all(np.array_equal(again[name], arrays[name]) for name in arrays)
    assert not all(np.array_equal(other[name], arrays[name]) for name in arrays)


def test_it_survives_its_file(learning, tmp_path):
    write_arrays(tmp_path / "learning.npz", learning.arrays())
    read = Learning.from_arrays(read_arrays(tmp_path / "learning.npz"))
    assert list(read.checkpoints) == list(learning.checkpoints)
    assert [seed for seed, _ in read.episodes] == [seed for seed, _ in learning.episodes]
    assert all(np.array_equal(a, b) for (_, a), (_, b) in zip(read.episodes, learning.episodes, strict=True))


def test_a_learning_episode_repeats_its_actions_on_a_fresh_environment(learning):
    seed, actions = learning.episodes[-1]
    episodes = [record_episode(TaskEnv(TASK, 4, 100), seed, replayed(actions)) for _ in range(2)]
    assert np.array_equal(episodes[0].action[1:], actions)
    assert np.array_equal(episodes[0].physics, episodes[1].physics)


def test_the_numpy_actor_is_stable_baselines_own():
    import torch
    from stable_baselines3 import SAC

    class State(ObservationWrapper):
        def __init__(self) -> None:
            super().__init__(TaskEnv(TASK, 4, 100))
            self.observation_space = self.env.observation_space["state"]

        def observation(self, observation):
            return observation["state"]

    sac = SAC("MlpPolicy", State(), policy_kwargs={"net_arch": [16, 16]}, seed=3, device="cpu", buffer_size=10)
    low, high = np.array([-1, -0.5], np.float32), np.array([1, 2], np.float32)
    act = Actor(_actor_weights(sac.actor), low, high).sampled(seed=7)
    noise = np.random.Generator(np.random.PCG64(7))
    for state in np.random.default_rng(0).normal(size=(5, 9)).astype(np.float32):
        with torch.no_grad():
            mean, log_std, _ = sac.actor.get_action_dist_params(torch.as_tensor(state)[None])
        drawn = np.tanh(mean[0].numpy() + np.exp(log_std[0].numpy()) * noise.standard_normal(2, np.float32))
        assert np.allclose(act(state), low + (drawn + 1) / 2 * (high - low), atol=1e-6)
