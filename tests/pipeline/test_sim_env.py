"""The environment keeps Gymnasium's rules, repeats actions, ends in time, and is fixed by its seed."""

import numpy as np
import pytest
from gymnasium.utils.env_checker import check_env

from datasets.errors import UserError
from datasets.frames import Look
from pipeline.sim.env import TaskEnv, View

TASK = "cartpole_swingup"


@pytest.mark.filterwarnings("ignore")  # it warns of unbounded observations and of what `gymnasium.make` would add
@pytest.mark.parametrize("view", [None, View(32)], ids=["state", "state and image"])
def test_gymnasiums_own_check_passes(view):
    env = TaskEnv(TASK, 4, 40, view)
    check_env(env)
    env.close()


def test_an_episode_is_truncated_after_its_control_steps_and_sums_rewards():
    single, repeated = TaskEnv(TASK, 1, 30), TaskEnv(TASK, 4, 30)
    rewards: dict[int, list[float]] = {1: [], 4: []}
    for repeat, env in ((1, single), (4, repeated)):
        env.reset(seed=3)
        ended = False
        while not ended:
            _, reward, terminated, ended, _ = env.step(np.array([0.5], np.float32))
            rewards[repeat].append(reward)
            assert not terminated
    assert (len(rewards[1]), len(rewards[4])) == (30, 8)  # the last repeat is cut short: 7 * 4 + 2
    assert np.allclose(np.add.reduceat(rewards[1], range(0, 30, 4)), rewards[4])


def test_the_tasks_own_end_terminates_with_discount_zero():
    env = TaskEnv("lqr_lqr_2_1", 2, 100_000)
    env.reset(seed=0)
    env.simulation.data.qpos[:] = 1e-9  # within the task's tolerance of the origin
    env.simulation.data.qvel[:] = 0
    env.simulation.restore_state(env.physics_state())
    _, _, terminated, truncated, info = env.step(np.zeros(1, np.float32))
    assert terminated
    assert not truncated
    assert info["discount"] == 0


def test_a_seed_fixes_the_episode_and_those_that_follow_it():
    first, second = TaskEnv(TASK, 4, 40), TaskEnv(TASK, 4, 40)
    second.reset(seed=9)
    starts = [[env.reset(seed=1)[0]["state"], env.reset()[0]["state"], env.reset()[0]["state"]] for env in (first, second)]
    for a, b in zip(*starts, strict=True):
        assert np.array_equal(a, b)
    assert not np.array_equal(starts[0][1], starts[0][2])


def test_actions_are_clipped_to_the_tasks_bounds():
    inside, outside = TaskEnv(TASK, 4, 40), TaskEnv(TASK, 4, 40)
    inside.reset(seed=0)
    outside.reset(seed=0)
    assert np.array_equal(inside.step(inside.action_high)[0]["state"], outside.step(np.array([50.0]))[0]["state"])


def test_a_look_changes_the_image_and_nothing_else():
    look = Look("all-1.00-0", "all", 1.0, 0, "ood")
    plain, shifted = TaskEnv("swimmer_swimmer6", 2, 40, View(48)), TaskEnv("swimmer_swimmer6", 2, 40, View(48, look=look))
    for env in (plain, shifted):
        env.reset(seed=4)
    for _ in range(3):
        (a, reward_a, *_), (b, reward_b, *_) = (env.step(env.action_high) for env in (plain, shifted))
        assert np.array_equal(a["state"], b["state"])
        assert reward_a == reward_b
        assert not np.array_equal(a["image"], b["image"])
    plain.close()
    shifted.close()


@pytest.mark.parametrize("camera", ["nowhere", 99, -1])
def test_an_unknown_camera_is_one_line_that_lists_the_known(camera):
    with pytest.raises(UserError, match=r"render\.camera: this task has no camera .*0 \(fixed\), 1 \(lookatcart\)"):
        TaskEnv(TASK, 4, 40, View(32, camera))


def test_a_camera_can_be_named_and_camera_zero_is_reachable():
    images = {}
    for camera in (0, "fixed", 1, "lookatcart"):
        env = TaskEnv(TASK, 4, 40, View(32, camera))
        images[camera] = env.reset(seed=0)[0]["image"]
        env.close()
    assert np.array_equal(images[0], images["fixed"])
    assert np.array_equal(images[1], images["lookatcart"])
    assert not np.array_equal(images[0], images[1])
