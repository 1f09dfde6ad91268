"""A simulation's rows restore exactly, whatever the task keeps in its model; it steps as dm_control itself does."""

import numpy as np
import pytest
from dm_control import suite

from datasets.errors import UserError
from pipeline.sim.names import TASKS
from pipeline.sim.tasks import Simulation

# One for every way of keeping something in the model: none, geom, site, tendon, body, light, terrain.
KEEPS = {
    "cartpole_swingup": set(),
    "reacher_hard": {"geom_pos", "geom_size"},
    "finger_turn_easy": {"site_pos", "site_size"},
    "point_mass_hard": {"wrap_prm"},
    "manipulator_bring_ball": {"body_pos", "body_quat"},
    "swimmer_swimmer6": {"geom_pos", "light_pos"},
    "quadruped_escape": {"hfield_data"},
}


def play(simulation: Simulation, seed: int, steps: int) -> list[np.ndarray]:
    rng = np.random.default_rng(seed)
    seen = [simulation.reset(seed)]
    for _ in range(steps):
        action = rng.uniform(simulation.action_low, simulation.action_high).astype(np.float32)
        seen.append(simulation.advance(action, 2)[0])
    return seen


def test_the_names_are_the_suites():
    assert sorted(TASKS.values()) == sorted(suite.ALL_TASKS)
    assert all(f"{domain}_{task}" == name for name, (domain, task) in TASKS.items())


def test_an_unknown_task_suggests_the_nearest():
    with pytest.raises(UserError, match="unknown task 'cartpole_swingu'; did you mean 'cartpole_swingup'"):
        Simulation("cartpole_swingu")


@pytest.mark.parametrize("task", KEEPS)
def test_what_a_reset_changes_in_the_model_is_found(task):
    simulation = Simulation(task)
    changed = set()
    for seed in range(3):
        simulation.reset(seed)
        changed |= set(simulation.model_changes())
    assert changed == KEEPS[task]


@pytest.mark.parametrize("task", KEEPS)
def test_a_stored_row_restores_in_another_simulation(task):
    played, other = Simulation(task), Simulation(task)
    play(played, 1, 5)
    changes, state = played.model_changes(), played.state()
    played.restore_state(state)  # forces and sensors of acceleration then follow from the state alone, on both sides
    expected = played.observe()
    play(other, 2, 3)
    other.restore_model(changes)
    other.restore_state(state)
    observation, reward = other.observe()
    assert np.array_equal(observation, expected[0])
    assert reward == expected[1]
    assert np.array_equal(other.state(), state)


@pytest.mark.parametrize("task", ["cartpole_swingup", "reacher_easy", "cheetah_run", "ball_in_cup_catch"])
def test_restoring_gives_back_the_very_observation_and_reward_of_the_step(task):
    simulation = Simulation(task)
    play(simulation, 0, 4)
    observation, reward, *_ = simulation.advance(simulation.action_high, 1)
    state, changes = simulation.state(), simulation.model_changes()
    play(simulation, 7, 4)
    simulation.restore_model(changes)
    simulation.restore_state(state)
    again, reward_again = simulation.observe()
    assert np.array_equal(again, observation)
    assert reward_again == reward


@pytest.mark.parametrize("task", KEEPS)
def test_an_episode_depends_on_its_seed_alone(task):
    fresh, used = Simulation(task), Simulation(task)
    play(used, 5, 3)
    for a, b in zip(play(fresh, 1, 3), play(used, 1, 3), strict=True):
        assert np.array_equal(a, b)
    assert not np.array_equal(play(fresh, 1, 0)[0], play(fresh, 2, 0)[0])


@pytest.mark.parametrize("task", ["cartpole_swingup", "walker_walk", "finger_spin", "hopper_hop"])
def test_it_steps_as_dm_control_steps(task):
    simulation = Simulation(task)
    reference = suite.load(*TASKS[task], task_kwargs={"random": 3})
    observation = reference.reset().observation
    assert np.array_equal(simulation.reset(3), np.concatenate([np.ravel(v) for v in observation.values()]).astype(np.float32))
    rng = np.random.default_rng(0)
    for _ in range(10):
        action = rng.uniform(simulation.action_low, simulation.action_high).astype(np.float32)
        ours, total, discount, taken = simulation.advance(action, 3)
        steps = [reference.step(action.astype(np.float64)) for _ in range(3)]
        theirs = np.concatenate([np.ravel(v) for v in steps[-1].observation.values()]).astype(np.float32)
        assert np.array_equal(ours, theirs)
        assert total == sum(step.reward for step in steps)
        assert (discount, taken) == (1.0, 3)
