"""One episode to play, as a shard of work for any executor."""

from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

from datasets.frames import Look
from pipeline.sim.behaviour import Actor, Learning
from pipeline.sim.env import TaskEnv
from pipeline.sim.gym_env import GymEnv
from pipeline.sim.recording import NOISES, Simulated, read_arrays, record_episode, replayed, write_episode
from pipeline.sim.source import Source


@dataclass(frozen=True)
class Plan:
    """An episode of one task, and the file that keeps it.

    Attributes:
        policy: `uniform` or `ou` noise; `replay` of the learning episode `index`; or `checkpoint`, the policy after `index`
            steps.
        seed: of the task's reset and of the policy's own draws.
        learning: file of the SAC run, `Learning.arrays()`.
        look: whose body is simulated; None for the task's own.
        source: of the user's own environment, where the task is one.
    """

    task: str
    action_repeat: int
    episode_steps: int
    policy: str
    index: int
    seed: int
    learning: Path
    out: Path
    look: Look | None = None
    source: Source | None = None


def play(plan: Plan) -> None:
    """Play the episode and write `plan.out`."""
    env = _env(plan.task, plan.action_repeat, plan.episode_steps, plan.look, plan.source)
    if plan.policy in NOISES:
        act = NOISES[plan.policy](env, plan.seed)
    elif plan.policy == "replay":
        act = replayed(_learning(plan.learning).episodes[plan.index][1])
    elif plan.policy == "checkpoint":
        act = Actor(_learning(plan.learning).checkpoints[plan.index], env.action_low, env.action_high).sampled(plan.seed)
    else:
        raise ValueError(f"policy {plan.policy!r}: expected {', '.join(NOISES)}, replay or checkpoint")
    write_episode(plan.out, record_episode(env, plan.seed, act))


@lru_cache(maxsize=1)
def _env(task: str, action_repeat: int, episode_steps: int, look: Look | None, source: Source | None) -> Simulated:
    if source is not None:
        return GymEnv(source, action_repeat, episode_steps)
    return TaskEnv(task, action_repeat, episode_steps, look=look)


@lru_cache(maxsize=1)
def _learning(path: Path) -> Learning:
    return Learning.from_arrays(read_arrays(path))
