"""The environment of a task, ready to act in: dm_control's, or one of the user's own (`environments` in params.yaml)."""

from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING

from datasets.frames import Quality
from pipeline.params import Params

if TYPE_CHECKING:
    from pipeline.sim.source import Source
    from trainers.protocols import Env

CODE = ("pipeline/environments.py", "pipeline/sim/gym_env.py", "pipeline/sim/source.py")


def make_env(p: Params, task: str, seen: bool) -> "Callable[[], Env]":
    """What makes one environment of `task`, picklable: an observation holds `state` and, where `seen`, `image`.

    Raises (when called):
        UserError: it cannot be made or rendered.
    """
    repeat, steps = p.collect.action_repeat, p.collect.episode_steps
    if source := p.source_of(task):
        return partial(_own, source, repeat, steps, p.render.size if seen else None)
    view = (p.render.size, p.render.camera_of(task), p.render.quality) if seen else None
    return partial(_suite, task, repeat, steps, view)


def _own(source: "Source", action_repeat: int, episode_steps: int, size: int | None) -> "Env":
    from pipeline.sim.gym_env import GymEnv

    return GymEnv(source, action_repeat, episode_steps, size)


def _suite(task: str, action_repeat: int, episode_steps: int, view: "tuple[int, int | str, Quality] | None") -> "Env":
    from pipeline.sim.env import TaskEnv, View

    return TaskEnv(task, action_repeat, episode_steps, None if view is None else View(*view))
