"""Playing one episode and keeping all of it: the rows of a trajectory file."""

import io
import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from datasets.trajectories import Trajectories
from pipeline.sim.env import TaskEnv

Act = Callable[[NDArray[np.float32]], NDArray[np.float32]]  # state float32 [O] -> action float32 [A]
_MODEL = "model/"


@dataclass(frozen=True)
class Episode:
    """The rows of one episode, as `datasets.trajectories.Trajectories` names and shapes them."""

    physics: NDArray[np.float64]
    observation: NDArray[np.float32]
    action: NDArray[np.float32]
    reward: NDArray[np.float32]
    discount: NDArray[np.float32]
    is_first: NDArray[np.bool_]
    is_terminal: NDArray[np.bool_]
    model: dict[str, NDArray[np.float64]] = field(default_factory=dict)

    @property
    def total(self) -> float:
        """The undiscounted return."""
        return float(self.reward.sum(dtype=np.float64))


def record_episode(env: TaskEnv, seed: int, act: Act) -> Episode:
    """Play the episode of `seed` with `act` to its end."""
    observation, _ = env.reset(seed=seed)
    model = env.simulation.model_changes()
    none = np.zeros_like(env.action_low)
    rows: list[tuple[Any, ...]] = [(env.physics_state(), observation["state"], none, 0.0, 1.0, True, False)]
    ended = False
    while not ended:
        action = env.clip(act(observation["state"]))
        observation, reward, terminated, truncated, info = env.step(action)
        rows.append((env.physics_state(), observation["state"], action, reward, info["discount"], False, terminated))
        ended = terminated or truncated
    physics, states, actions, rewards, discounts, firsts, terminals = (np.array(column) for column in zip(*rows, strict=True))
    return Episode(physics, states, actions, rewards.astype(np.float32), discounts.astype(np.float32), firsts, terminals, model)


def replayed(actions: NDArray[np.float32]) -> Act:
    """Repeat recorded actions, float32 [steps, A], in order."""
    remaining = iter(actions)
    return lambda state: next(remaining)


def uniform(env: TaskEnv, seed: int) -> Act:
    """Uniformly random actions."""
    rng = np.random.Generator(np.random.PCG64(seed))
    low, span = env.action_low, env.action_high - env.action_low
    return lambda state: low + span * rng.random(low.shape, np.float32)


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
    arrays = {f.name: getattr(episode, f.name) for f in fields(episode) if f.name != "model"}
    write_arrays(path, arrays | {_MODEL + name: values for name, values in episode.model.items()})


def read_episode(path: Path) -> Episode:
    """The episode that `write_episode` kept."""
    arrays = read_arrays(path)
    model = {name.removeprefix(_MODEL): arrays.pop(name) for name in list(arrays) if name.startswith(_MODEL)}
    return Episode(**arrays, model=model)


def join_episodes(
    task: str,
    episodes: Sequence[Episode],
    quality: list[str],
    seeds: Sequence[int],
    validation: Sequence[bool],
    pristine: Callable[[str], NDArray[Any]],
    meta: dict[str, str | int | float],
) -> Trajectories:
    """One trajectory file's content, in the order given.

    Args:
        pristine: a model field as the task loads it, which stands for it in episodes that left it alone.
    """
    changed = sorted({name for episode in episodes for name in episode.model})
    model = {name: np.stack([np.asarray(e.model.get(name, pristine(name)), np.float64) for e in episodes]) for name in changed}
    rows = {
        f.name: np.concatenate([getattr(episode, f.name) for episode in episodes]) for f in fields(Episode) if f.name != "model"
    }
    ends = np.cumsum([len(episode.reward) for episode in episodes], dtype=np.int64)
    return Trajectories(
        task=task, episode_ends=ends, quality=quality, seed=np.array(seeds, np.int64),
        validation=np.array(validation), model=model, meta=meta, **rows,
    )  # fmt: skip
