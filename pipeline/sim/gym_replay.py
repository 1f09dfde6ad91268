"""Pictures of recorded episodes of a user's own environment: played again from seed and actions, and drawn on the way.

Such an environment has no state that could be restored, so this holds for those whose episodes follow from seed and actions;
others are refused.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from datasets.episodes import ROW_ARRAYS
from datasets.errors import UserError
from datasets.frames import write_frame_shard
from datasets.trajectories import TrajectoryReader
from pipeline.sim.gym_env import GymEnv
from pipeline.sim.recording import NOT_THE_SAME, Simulated, record_episode, uniform
from pipeline.sim.replay import open_reader
from pipeline.sim.source import Source

_SEEDS = (0, 1)


@dataclass(frozen=True)
class PlayJob:
    """One tar to write: whole `episodes` of the trajectories in a folder."""

    trajectories: Path
    source: Source
    size: int
    episodes: tuple[int, ...]
    out: Path


def play_shard(job: PlayJob) -> None:
    """Write one tar, in a worker process.

    Raises:
        UserError: an episode comes out otherwise than it was recorded.
    """
    data = open_reader(job.trajectories)
    meta = data.index.meta
    env = GymEnv(job.source, int(meta["action_repeat"]), int(meta["episode_steps"]), job.size)
    write_frame_shard(job.out, ((e, t, frame) for e in job.episodes for t, frame in enumerate(played(env, data, e))))
    env.close()


def played(env: GymEnv, data: TrajectoryReader, episode: int) -> Iterator[NDArray[np.uint8]]:
    """uint8 [size, size, 3] of every row of one episode.

    Raises:
        UserError: its observations, rewards or end are not those that were recorded.
    """
    stored = data.episode(episode)
    observation, _ = env.reset(seed=int(data.index.seed[episode]))
    reward, terminated, last = 0.0, False, len(stored.reward) - 1
    for t in range(last + 1):
        if t:
            observation, reward, terminated, truncated, _ = env.step(stored.action[t])
        same = np.float32(reward) == stored.reward[t] and terminated == stored.is_terminal[t]
        same &= not env.has_state or np.array_equal(observation["state"], stored.observation[t])
        if not same or (t and (terminated or truncated) != (t == last)):
            raise UserError(
                f"environments.{data.index.task}: episode {episode}, step {t}: played again it is not what collect recorded:"
                f" {NOT_THE_SAME}, render() changes it, or other versions are installed"
            )
        yield observation["image"]


def require_deterministic(make: Callable[[], Simulated], key: str) -> None:
    """That an episode of noise is the same in a fresh environment and in one that has played another before.

    Args:
        key: what the error names.

    Raises:
        UserError: it is not.
    """
    fresh, used = make(), make()
    record_episode(used, _SEEDS[0], uniform(used, _SEEDS[0]))
    once, again = (record_episode(env, _SEEDS[1], uniform(env, _SEEDS[1])) for env in (fresh, used))
    if not all(np.array_equal(getattr(once, name), getattr(again, name)) for name in ROW_ARRAYS):
        raise UserError(
            f"{key}: two episodes of the same seed and actions differ: {NOT_THE_SAME}, so it cannot be drawn later;"
            " take all that is random from self.np_random, which reset(seed=...) sets"
        )
