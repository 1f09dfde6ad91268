"""A look changes only what is seen, grows with its severity, and is nothing at severity 0."""

from functools import cache

import numpy as np
import pytest

from datasets.errors import UserError
from datasets.frames import Look
from pipeline.sim.env import TaskEnv, View
from pipeline.sim.tasks import Simulation, model_arrays
from pipeline.sim.variants import apply_look, looks

AXES = ["texture", "lighting", "camera"]
TASKS = ["cartpole_swingup", "walker_walk", "cheetah_run", "reacher_easy", "ball_in_cup_catch", "pendulum_swingup", "finger_spin"]
FIELDS_OF = {"texture": ("tex_", "mat_", "geom_rgba"), "lighting": ("light_",), "camera": ("cam_",)}


def look(axis: str, severity: float, seed: int = 0) -> Look:
    return Look(f"{axis}-{severity}-{seed}", axis, severity, seed, "ood")


@cache
def image(task: str, seen: Look | None) -> np.ndarray:
    env = TaskEnv(task, 2, 40, View(64, 0, "fast", seen))
    env.reset(seed=3)
    for _ in range(3):
        observation, *_ = env.step(env.action_high)
    env.close()
    return observation["image"].astype(int)


def test_the_list_is_the_default_and_every_axis_severity_and_draw():
    listed = looks(AXES, [0.25, 1.0], 2, seed=0)
    assert listed[0] == Look("default", "default", 0.0, 0, "id")
    assert [one.variant for one in listed[1:5]] == ["texture-0.25-0", "texture-0.25-1", "texture-1.00-0", "texture-1.00-1"]
    assert len(listed) == 1 + 3 * 2 * 2
    assert {one.split for one in listed[1:]} == {"ood"}
    assert {one.seed for one in looks(AXES, [1.0], 2, seed=0)[1:]}.isdisjoint(
        one.seed for one in looks(AXES, [1.0], 2, seed=1)[1:]
    )


def test_two_looks_of_one_name_are_refused():
    with pytest.raises(UserError, match=r"repeats camera-0\.50-0"):
        looks(["camera"], [0.5, 0.501], 1, 0)


@pytest.mark.parametrize("axis", AXES)
def test_severity_zero_is_the_default_look_bit_for_bit(axis):
    assert np.array_equal(image("cartpole_swingup", look(axis, 0.0)), image("cartpole_swingup", None))


@pytest.mark.parametrize("axis", AXES)
@pytest.mark.parametrize("task", TASKS)
def test_the_picture_differs_more_the_greater_the_severity(task, axis):
    default = image(task, None)
    change = [np.abs(image(task, look(axis, severity)) - default).mean() for severity in (0.25, 0.5, 1.0)]
    assert 0 < change[0] < change[1] < change[2]


@pytest.mark.parametrize("axis", AXES)
def test_severity_scales_one_direction_per_seed(axis):
    """Half of the severity moves every colour, light and camera half as far (to the curvature of rotations and gains)."""

    def moved(severity: float, seed: int) -> np.ndarray:
        simulation = Simulation("cheetah_run")
        before = model_arrays(simulation.model)
        apply_look(simulation.model, look(axis, severity, seed))
        after = model_arrays(simulation.model)
        names = [name for name in sorted(before) if name.startswith(FIELDS_OF[axis])]
        return np.concatenate([np.ravel(after[name].astype(float) - before[name]) for name in names])

    half, whole = moved(0.5, 0), moved(1.0, 0)
    assert half @ whole / (np.linalg.norm(half) * np.linalg.norm(whole)) > 0.98
    assert 0.4 < np.linalg.norm(half) / np.linalg.norm(whole) < 0.6
    assert not np.allclose(moved(1.0, 1), whole)


@pytest.mark.parametrize("axis", AXES)
@pytest.mark.parametrize("task", TASKS)
def test_only_the_axis_own_fields_of_the_model_change(task, axis):
    simulation = Simulation(task)
    before = model_arrays(simulation.model)
    apply_look(simulation.model, look(axis, 1.0))
    changed = {name for name, array in model_arrays(simulation.model).items() if not np.array_equal(array, before[name])}
    assert all(name.startswith(FIELDS_OF[axis]) for name in changed)
    assert changed


def test_the_body_stays_visible_at_the_greatest_texture_shift():
    """Moving the body changes the picture nearly as much as under the default look."""
    for seed in range(4):
        contrast = {}
        for name, seen in (("default", None), ("shifted", look("texture", 1.0, seed))):
            env = TaskEnv("cartpole_swingup", 4, 400, View(64, 0, "fast", seen))
            first = env.reset(seed=1)[0]["image"].astype(int)
            for _ in range(30):
                observation, *_ = env.step(env.action_high)
            contrast[name] = np.abs(observation["image"].astype(int) - first).mean()
            env.close()
        assert contrast["shifted"] > 0.5 * contrast["default"]
