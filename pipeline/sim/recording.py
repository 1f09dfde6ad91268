"""Playing one episode and keeping all of it: the rows of a trajectory file."""

import io
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from datasets.episodes import ROW_ARRAYS, Episode
from datasets.errors import UserError
from pipeline.sim.env import TaskEnv
from pipeline.sim.gym_env import GymEnv

Simulated = TaskEnv | GymEnv  # what can be recorded
Act = Callable[[NDArray[np.float32]], NDArray[np.float32]]  # state float32 [O] -> action float32 [A]
_MODEL = "model/"
NOT_THE_SAME = "its environment is not deterministic given its seed and actions"
_OU_THETA, _OU_SIGMA = 0.15, 0.3


def record_episode(env: Simulated, seed: int, act: Act) -> Episode:
    """Play the episode of `seed` with `act` to its end."""
    observation, _ = env.reset(seed=seed)
    model = env.model_changes()
    none = np.zeros_like(env.action_low)
    rows: list[tuple[Any, ...]] = [(env.physics_state(), observation["state"], none, 0.0, 1.0, True, False)]
    ended = False
    while not ended:
        action = env.clip(act(observation["state"]))
        observation, reward, terminated, truncated, info = env.step(action)
        rows.append((env.physics_state(), observation["state"], action, reward, info["discount"], False, terminated))
        ended = terminated or truncated
    columns = dict(zip(ROW_ARRAYS, (np.array(column) for column in zip(*rows, strict=True)), strict=True))
    columns |= {name: columns[name].astype(np.float32) for name in ("reward", "discount")}
    if not env.has_state:  # the constant that stands for it is not the task's
        columns["observation"] = np.empty((len(rows), 0), np.float32)
    return Episode(**columns, model=model)


def replayed(actions: NDArray[np.float32]) -> Act:
    """Repeat recorded actions, float32 [steps, A], in order.

    Raises (when called):
        UserError: the episode goes on after the last of them, so it is not the one that was recorded.
    """
    remaining = iter(actions)

    def act(state: NDArray[np.float32]) -> NDArray[np.float32]:
        if (action := next(remaining, None)) is None:
            raise UserError(f"an episode that ended after {len(actions)} steps goes on when it is played again: {NOT_THE_SAME}")
        return action

    return act


def uniform(env: Simulated, seed: int) -> Act:
    """Uniformly random actions."""
    rng = np.random.Generator(np.random.PCG64(seed))
    low, span = env.action_low, env.action_high - env.action_low
    return lambda state: low + span * rng.random(low.shape, np.float32)


def ornstein_uhlenbeck(env: Simulated, seed: int) -> Act:
    """Temporally correlated noise: an Ornstein-Uhlenbeck process about the middle of the action range.

    x += -theta x + sigma N(0, 1) a step, in units of half the range, clipped to it (Lillicrap et al. 2015, arXiv 1509.02971,
    section 7; theta as there, sigma larger, so that its spread, sigma / sqrt(2 theta) = 0.55, comes near the uniform's 0.58).
    """
    rng = np.random.Generator(np.random.PCG64(seed))
    middle, half = (env.action_high + env.action_low) / 2, (env.action_high - env.action_low) / 2
    x = np.zeros_like(middle)

    def act(state: NDArray[np.float32]) -> NDArray[np.float32]:
        nonlocal x
        x = x - np.float32(_OU_THETA) * x + np.float32(_OU_SIGMA) * rng.standard_normal(x.shape, np.float32)
        return np.asarray(middle + half * np.clip(x, -1, 1), np.float32)

    return act


NOISES: dict[str, Callable[[Simulated, int], Act]] = {"uniform": uniform, "ou": ornstein_uhlenbeck}


def write_arrays(path: Path, arrays: dict[str, NDArray[Any]]) -> None:
    """Write an npz under a temporary name, then rename: where it exists, it is whole."""
    buffer = io.BytesIO()
    np.savez(buffer, **arrays)  # type: ignore[arg-type]
    temporary = path.with_name(path.name + ".tmp")
    temporary.write_bytes(buffer.getvalue())
    os.replace(temporary, path)


def read_arrays(path: Path) -> dict[str, NDArray[Any]]:
    """The arrays of `write_arrays`."""
    with np.load(path, allow_pickle=False) as file:
        return {name: file[name] for name in file.files}


def write_episode(path: Path, episode: Episode) -> None:
    """Keep one episode in a file of its own."""
    arrays: dict[str, NDArray[Any]] = {name: getattr(episode, name) for name in ROW_ARRAYS}
    write_arrays(path, arrays | {_MODEL + name: values for name, values in episode.model.items()})


def read_episode(path: Path) -> Episode:
    """The episode that `write_episode` kept."""
    arrays = read_arrays(path)
    model = {name.removeprefix(_MODEL): arrays.pop(name) for name in list(arrays) if name.startswith(_MODEL)}
    return Episode(**arrays, model=model)


def changed_fields(path: Path) -> set[str]:
    """Names of the model fields in a file of `write_episode`."""
    with np.load(path, allow_pickle=False) as file:
        return {name.removeprefix(_MODEL) for name in file.files if name.startswith(_MODEL)}


def total_reward(path: Path) -> float:
    """The undiscounted return of a file of `write_episode`."""
    with np.load(path, allow_pickle=False) as file:
        return float(file["reward"].sum(dtype=np.float64))
