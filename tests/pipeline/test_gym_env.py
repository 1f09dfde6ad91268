"""A user's own Gymnasium environment becomes one of ours: flat state, square picture, actions in [-1, 1], seeds kept."""

import importlib.util
import pickle
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from gymnasium.utils.env_checker import check_env

from datasets.errors import UserError
from pipeline.sim.gym_env import GymEnv, squared
from pipeline.sim.recording import record_episode, replayed, uniform
from pipeline.sim.source import Source, source_identity
from tests.own_environments import write_environment
from tests.synthetic import ROOT

POINT = Source("point", f"{ROOT / 'pipeline' / 'own' / 'point.py'}:Point")


def own(tmp_path: Path, body: str, kwargs: str = "{}") -> Source:
    return Source("mine", f"{write_environment(tmp_path / 'mine.py', body)}:Env", kwargs)


@pytest.mark.filterwarnings("ignore")  # it warns of unbounded observations and of what `gymnasium.make` would add
@pytest.mark.parametrize("size", [None, 32], ids=["state", "state and image"])
def test_gymnasiums_own_check_passes(size):
    check_env(GymEnv(POINT, 4, 40, size))


def test_it_is_what_the_environment_gives_repeated_and_summed():
    single, repeated = GymEnv(POINT, 1, 30), GymEnv(POINT, 4, 30)
    rewards: dict[int, list[float]] = {1: [], 4: []}
    last: dict[int, Any] = {}
    for repeat, env in ((1, single), (4, repeated)):
        env.reset(seed=3)
        ended = False
        while not ended:
            last[repeat], reward, terminated, ended, info = env.step(np.array([0.5, -0.2], np.float32))
            rewards[repeat].append(reward)
            assert not terminated and info == {"discount": 1.0}
    assert (len(rewards[1]), len(rewards[4])) == (30, 8)  # the last repeat is cut short: 7 * 4 + 2
    assert np.allclose(np.add.reduceat(rewards[1], range(0, 30, 4)), rewards[4])
    np.testing.assert_array_equal(last[1]["state"], last[4]["state"])


def test_its_own_end_terminates_with_discount_zero_within_a_repeat(tmp_path):
    env = GymEnv(own(tmp_path, "ends = 5"), 4, 1000)
    episode = record_episode(env, 1, uniform(env, 1))
    assert episode.is_terminal.tolist() == [False, False, True] and episode.discount.tolist() == [1, 1, 0]
    assert env._env.t == 5


def test_its_own_truncation_ends_the_episode_but_not_for_good(tmp_path):
    step = "def step(self, action):\n    seen, reward, *_ = super().step(action)\n    return seen, reward, False, self.t == 3, {}"
    env = GymEnv(own(tmp_path, step), 1, 1000)
    episode = record_episode(env, 1, uniform(env, 1))
    assert len(episode.reward) == 4 and not episode.is_terminal.any() and episode.discount.all()


def test_a_seed_fixes_the_episode_and_those_that_follow_it():
    first, second = GymEnv(POINT, 1, 5), GymEnv(POINT, 1, 5)
    second.reset(seed=9)
    starts = [[env.reset(seed=1)[0]["state"], env.reset()[0]["state"], env.reset()[0]["state"]] for env in (first, second)]
    for a, b in zip(*starts, strict=True):
        np.testing.assert_array_equal(a, b)
    assert not np.array_equal(starts[0][1], starts[0][2])


def test_a_recorded_episode_can_be_had_again_from_its_seed_and_actions():
    env = GymEnv(POINT, 2, 40)
    episode = record_episode(env, 5, uniform(env, 5))
    again = record_episode(GymEnv(POINT, 2, 40, 32), 5, replayed(episode.action[1:]))
    for name in ("observation", "action", "reward", "is_first"):
        np.testing.assert_array_equal(getattr(episode, name), getattr(again, name))
    assert episode.physics.shape == (21, 0) and not episode.model


def test_actions_reach_the_environments_own_bounds_and_no_further(tmp_path):
    env = GymEnv(own(tmp_path, "action_space = Box(np.float32([[-2, 0], [0.1, -7]]), np.float32([[2, 0.3], [0.7, -6]]))"), 1, 10)
    assert env.action_low.tolist() == [-1] * 4 and env.action_high.tolist() == [1] * 4
    env.reset(seed=0)
    for action, expected in (
        (-1, [[-2, 0], [0.1, -7]]), (1, [[2, 0.3], [0.7, -6]]), (5, [[2, 0.3], [0.7, -6]]), (0, [[0, 0.15], [0.4, -6.5]]),
    ):  # fmt: skip
        env.step(np.full(4, action, np.float32))
        np.testing.assert_allclose(env._env.taken, np.float32(expected), rtol=1e-6)
        assert env._env.taken.dtype == np.float32 and env._env.action_space.contains(env._env.taken)


def test_of_discrete_actions_the_one_with_the_largest_number_is_taken(tmp_path):
    env = GymEnv(own(tmp_path, "action_space = Discrete(3, start=5)"), 1, 10)
    env.reset(seed=0)
    taken = []
    for action in ([1, 0, -1], [-1, -0.9, -1], [0.1, 0.2, 0.3]):
        env.step(np.array(action, np.float32))
        taken.append(env._env.taken)
    assert taken == [5, 6, 7] and env.action_space.shape == (3,)


def test_an_image_observation_is_the_picture_and_the_rest_is_the_state(tmp_path):
    source = own(tmp_path, """
observation_space = Dict(image=Box(0, 255, (20, 40, 3), np.uint8), at=Box(-9, 9, (2,)), kind=Discrete(3))
def seen(self):
    return {"image": np.full((20, 40, 3), 10 * self.t, np.uint8), "at": self.x.astype("float32"), "kind": 2}
def render(self):
    raise RuntimeError
""")  # fmt: skip
    env = GymEnv(source, 1, 10, 20)
    env.reset(seed=0)
    observation, *_ = env.step(np.ones(1, np.float32))
    assert env.has_state and env.camera == "image"
    assert observation["state"].tolist() == [*env._env.x.astype(np.float32), 0, 0, 1]
    assert (observation["image"][5:15] == 10).all()  # half as high: bars above and below, nothing cut off
    assert not observation["image"][:5].any() and not observation["image"][15:].any()


def test_where_all_is_image_the_state_is_a_constant_that_is_not_recorded(tmp_path):
    source = own(tmp_path, """
observation_space = Box(0, 255, (32, 32, 3), np.uint8)
def seen(self):
    self.drawn = getattr(self, "drawn", np.zeros((32, 32, 3), np.uint8))
    self.drawn[:] = self.t
    return self.drawn  # the same array again and again
""")  # fmt: skip
    env = GymEnv(source, 1, 4, 32)
    first, _ = env.reset(seed=0)
    second, *_ = env.step(np.ones(1, np.float32))
    assert not env.has_state and first["state"].tolist() == second["state"].tolist() == [0]
    assert (first["image"] == 0).all() and (second["image"] == 1).all()
    assert record_episode(GymEnv(source, 1, 4), 0, uniform(env, 0)).observation.shape == (5, 0)


def test_small_arrays_are_state_not_pictures(tmp_path):
    body = "observation_space = Box(0, 255, (3, 3, 3), np.uint8)\ndef seen(self):\n    return np.full((3, 3, 3), 7, np.uint8)"
    observation, _ = GymEnv(own(tmp_path, body), 1, 4, 24).reset(seed=0)
    assert observation["state"].tolist() == [7] * 27 and (observation["image"] == 40).all()


def test_a_picture_of_the_right_size_keeps_its_pixels_and_a_larger_one_its_means():
    noise = np.random.default_rng(0).integers(0, 256, (64, 64, 3), np.uint8)
    np.testing.assert_array_equal(squared(noise, 64), noise)
    means = noise.reshape(32, 2, 32, 2, 3).mean(axis=(1, 3))
    assert np.abs(squared(noise, 32) - means).max() <= 1


def test_render_mode_is_asked_for_where_it_is_taken(tmp_path):
    body = """
def __init__(self, render_mode=None, level=0):
    self.render_mode, self.level = render_mode, level
def render(self):
    return np.full((32, 32, 3), self.level, np.uint8) if self.render_mode == "rgb_array" else None
"""
    observation, _ = GymEnv(own(tmp_path, body, '{"level": 9}'), 1, 4, 32).reset(seed=0)
    assert (observation["image"] == 9).all()


def test_a_registered_id_is_made_without_its_own_time_limit(tmp_path, monkeypatch):
    write_environment(tmp_path / "registers_own.py", "pass")
    with open(tmp_path / "registers_own.py", "a") as file:
        file.write('\n\ngymnasium.register("Own-v3", Env, max_episode_steps=2)\n')
    monkeypatch.syspath_prepend(tmp_path)
    env = GymEnv(Source("mine", "registers_own:Own-v3"), 1, 7)
    assert len(record_episode(env, 0, uniform(env, 0)).reward) == 8
    limited = GymEnv(Source("mine", "registers_own:Own-v3", '{"max_episode_steps": 3}'), 1, 7)
    assert len(record_episode(limited, 0, uniform(limited, 0)).reward) == 4
    assert GymEnv(Source("mine", "registers_own:Env"), 1, 7).action_space.shape == (1,)


def test_gymnasiums_pendulum_needs_pygame_only_to_be_seen():
    pendulum = Source("pendulum", "Pendulum-v1")
    env = GymEnv(pendulum, 2, 20)
    episode = record_episode(env, 0, uniform(env, 0))
    assert episode.observation.shape == (11, 3) and (episode.reward[1:] < 0).all()
    seen = GymEnv(pendulum, 2, 20, 32)
    if importlib.util.find_spec("pygame"):
        assert seen.reset(seed=0)[0]["image"].shape == (32, 32, 3)
    else:
        with pytest.raises(UserError, match=r"environments\.pendulum cannot be rendered: pygame is not installed"):
            seen.reset(seed=0)


def test_what_it_is_made_of_changes_with_its_file_and_arguments_alone(tmp_path):
    source = own(tmp_path, "ends = 5")
    before = source_identity(source)
    assert source_identity(pickle.loads(pickle.dumps(source))) == before
    own(tmp_path, "ends = 6")
    assert source_identity(source) != before
    own(tmp_path, "ends = 5")
    (tmp_path / "moved").mkdir()
    (tmp_path / "mine.py").rename(tmp_path / "moved" / "mine.py")
    moved = Source("mine", f"{tmp_path / 'moved' / 'mine.py'}:Env")
    assert source_identity(moved)["files"] == before["files"]


@pytest.mark.parametrize(
    ("body", "message"),
    [
        ("action_space = Box(-np.inf, np.inf, (1,))", "not bounded: give it finite bounds"),
        ("action_space = Box(1, 1, (1,))", "low below high"),
        ("action_space = MultiDiscrete([2, 2])", "Box of floats or Discrete"),
        ("action_space = Box(0, 5, (1,), np.int64)", "Box of floats or Discrete"),
        ("observation_space = Sequence(Box(0, 1, (2,)))", "an observation of Sequence cannot be flattened"),
        ("observation_space = Box(-9, 9, (3,))", "an observation of 2 numbers, its observation_space says 3"),
        ("observation_space = Dict(a=Box(0, 255, (16, 16, 3), np.uint8), b=Box(0, 255, (16, 16, 3), np.uint8))", "several image"),
        ("def render(self):\n    return None", "gave NoneType, uint8"),
        ("def render(self):\n    return np.zeros((8, 8))", r"gave float64 \[8, 8\], uint8"),
        ("def step(self, action):\n    return self.seen(), np.nan, False, False, {}", "reward after 1 steps of seed 0 is nan"),
        ("def seen(self):\n    return np.float32([0, np.nan])", "observation after 0 steps of seed 0 is not finite"),
        ("def __init__(self):\n    raise KeyError('no assets')", "cannot be made: KeyError: 'no assets'"),
    ],
)
def test_an_environment_that_has_no_place_here_is_one_line(tmp_path, body, message):
    def used():
        env = GymEnv(own(tmp_path, body), 1, 10, 32)
        env.reset(seed=0)
        env.step(np.ones(1, np.float32))

    with pytest.raises(UserError, match=rf"^environments\.mine\b.*{message}") as error:
        used()
    assert "\n" not in str(error.value)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        ("Pendulm-v1", "cannot be made: NameNotFound: Environment `Pendulm` doesn't exist"),
        ("nowhere:Own-v0", "cannot be made: .*nowhere"),
        ("missing.py:Env", r"missing\.py is missing"),
        ("broken.py:Env", r"broken\.py cannot be imported: SyntaxError"),
        ("imports.py:Env", r"imports\.py cannot be imported: ModuleNotFoundError: No module named 'not_there'"),
        ("other.py:Env", r"other\.py has no function or class 'Env'"),
        ("other.py:number", r"other\.py has no function or class 'number'"),
        ("other.py:make", r"other\.py:make gives a list, not a gymnasium\.Env"),
        ("nowhere.module:Env", "nowhere.module cannot be imported: ModuleNotFoundError"),
    ],
)
def test_one_that_is_not_there_is_one_line(tmp_path, monkeypatch, make, message):
    monkeypatch.chdir(tmp_path)
    Path("broken.py").write_text("def Env(:\n")
    Path("imports.py").write_text("import not_there\n")
    Path("other.py").write_text("number = 3\ndef make():\n    return []\n")
    with pytest.raises(UserError, match=rf"^environments\.mine: .*{message}") as error:
        GymEnv(Source("mine", make), 1, 10)
    assert "\n" not in str(error.value)
