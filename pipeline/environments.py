"""The environment of a task, ready to act in: dm_control's, or one of the user's own (`environments` in params.yaml)."""

from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING

from datasets.frames import Look, Quality
from pipeline.params import Params

if TYPE_CHECKING:
    from pipeline.sim.env import TaskEnv
    from pipeline.sim.gym_env import GymEnv
    from pipeline.sim.source import Source

# what the data of a task of `environments` depends on, beside the code that all tasks share
CODE = ("pipeline/environments.py", *(f"pipeline/sim/{name}.py" for name in ("gym_env", "gym_replay", "source")))


_View = tuple[int, int | str, Quality, Look | None]


def make_env(p: Params, task: str, seen: bool, look: Look | None = None) -> "Callable[[], TaskEnv | GymEnv]":
    """What makes one environment of `task`, picklable; it satisfies `trainers.protocols.Env`.

    Args:
        seen: whether its observations hold `image` beside `state`.
        look: that it is seen, or only simulated, under; None: the default, the only one of the user's own.

    Raises (when called):
        UserError: it cannot be made or rendered.
    """
    repeat, steps = p.collect.action_repeat, p.collect.episode_steps
    if source := p.source_of(task):
        return partial(_own, source, repeat, steps, p.render.size if seen else None)
    view = (p.render.size, p.render.camera_of(task), p.render.quality, look) if seen else None
    return partial(_suite, task, repeat, steps, view, look)


def environment_digest(source: "Source") -> str:
    """Hex sha256 of an entry of `environments`, its code and the version of gymnasium: for keys.

    Raises:
        UserError: it cannot be made.
    """
    from importlib.metadata import version

    from datasets.manifest import digest_of
    from pipeline.sim.source import source_identity

    return digest_of(source_identity(source) | {"gymnasium": version("gymnasium")})


def check_environment(p: Params, task: str) -> None:
    """That a task's own environment can be made, reset, acted in and seen.

    Raises:
        UserError: it cannot.
    """
    env = make_env(p, task, seen=True)()
    env.reset(seed=0)
    env.step(env.action_high)
    env.close()


def _own(source: "Source", action_repeat: int, episode_steps: int, size: int | None) -> "GymEnv":
    from pipeline.sim.gym_env import GymEnv

    return GymEnv(source, action_repeat, episode_steps, size)


def _suite(task: str, action_repeat: int, episode_steps: int, view: "_View | None", look: Look | None) -> "TaskEnv":
    from pipeline.sim.env import TaskEnv, View

    return TaskEnv(task, action_repeat, episode_steps, None if view is None else View(*view), look)
