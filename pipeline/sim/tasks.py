"""A dm_control suite task with the whole of its state in the open: what a row stores, and how a stored row is restored.

Besides MuJoCo's integration state, some tasks change their *model* at reset (reacher's target, finger's target site,
point_mass's gears, quadruped's terrain). `Simulation` finds these fields by comparing with the model as loaded.
"""

import difflib
import posixpath
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any
from unittest.mock import patch

import numpy as np
from numpy.typing import NDArray

from datasets.errors import UserError
from datasets.frames import Look
from pipeline.sim.mj import mujoco, suite, wrapper
from pipeline.sim.names import TASKS
from pipeline.sim.variants import Wardrobe

_INTEGRATION = mujoco.mjtState.mjSTATE_INTEGRATION
_UNLIMITED = 1e9  # dm_control reports about 1e10 for an actuator without a control range


class Simulation:
    """One suite task, as seen under one look; a reset is a function of its seed alone.

    Args:
        look: None for the default.

    Attributes:
        model, data: MuJoCo's own structures, for rendering.
        effects: what of the look changes with time; a renderer applies them.
        action_low, action_high: float32 [A].
        observation_size, state_size: O and P.
        control_timestep: seconds a control step.

    Raises:
        UserError: the task is unknown.
    """

    def __init__(self, task: str, look: Look | None = None) -> None:
        if task not in TASKS:
            near = difflib.get_close_matches(task, list(TASKS), n=1)
            hint = f"did you mean {near[0]!r}?" if near else f"known: {', '.join(TASKS)}"
            raise UserError(f"unknown task {task!r}; {hint}")
        domain, name = TASKS[task]
        # lqr draws its model when it is loaded: a fixed seed keeps one model for all episodes and processes.
        wardrobe = Wardrobe(look)
        with _editing(wardrobe):
            self._env = suite.load(domain, name, task_kwargs={"random": 0, "time_limit": float("inf")})
        self.task = task
        self.model: Any = self._env.physics.model.ptr
        self.data: Any = self._env.physics.data.ptr
        spec = self._env.action_spec()
        limited = np.abs(np.stack([spec.minimum, spec.maximum])).max(axis=0) < _UNLIMITED
        self.action_low = np.where(limited, spec.minimum, -1.0).astype(np.float32)
        self.action_high = np.where(limited, spec.maximum, 1.0).astype(np.float32)
        self.observation_size = sum(int(np.prod(s.shape)) for s in self._env.observation_spec().values())
        self.state_size: int = mujoco.mj_stateSize(self.model, _INTEGRATION)
        self.control_timestep = float(self._env.control_timestep())
        self._substeps = round(self.control_timestep / self._env.physics.timestep())
        self._original = _filled(self.model)
        self.effects = wardrobe.apply(self.model)
        self._pristine = _filled(self.model)
        self._changed: dict[str, NDArray[Any]] = {}

    def reset(self, seed: int) -> NDArray[np.float32]:
        """Start the episode of `seed`; returns the first observation, float32 [O]."""
        for name in self._changed:
            getattr(self.model, name)[...] = self._pristine[name]
        self._env.task._random = np.random.RandomState(seed)  # the suite takes a seed only when a task is loaded
        # quadruped's escape would open an OpenGL context of dm_control's, which spoils the pictures of ours
        with patch.object(type(self._env.physics), "contexts", None):
            observation = _flat(self._env.reset().observation)
        self._changed = {
            name: getattr(self.model, name).copy()
            for name, original in self._pristine.items()
            if (getattr(self.model, name) != original).any()
        }
        return observation

    def advance(self, action: NDArray[np.float32], steps: int) -> tuple[NDArray[np.float32], float, float, int]:
        """Apply `action` for up to `steps` control steps, fewer where the episode ends for good.

        The calls are those of `dm_control.rl.control.Environment.step`, but for observing only the last of the steps.

        Returns:
            (observation float32 [O], summed reward, discount: 0 where the episode ended for good, control steps taken).
        """
        physics, task, control = self._env.physics, self._env.task, action.astype(np.float64)
        total, discount, taken = 0.0, 1.0, 0
        while taken < steps and discount != 0:
            task.before_step(control, physics)
            physics.step(self._substeps)
            task.after_step(physics)
            total += float(task.get_reward(physics))
            taken += 1
            termination = task.get_termination(physics)
            if termination is not None:
                discount = float(termination)
        return _flat(task.get_observation(physics)), total, discount, taken

    def state(self) -> NDArray[np.float64]:
        """float64 [P], MuJoCo's full integration state."""
        state = np.empty(self.state_size)
        mujoco.mj_getState(self.model, self.data, state, _INTEGRATION)
        return state

    def model_changes(self) -> dict[str, NDArray[np.float64]]:
        """The model fields that this episode's reset changed, whole, as float64."""
        return {name: array.astype(np.float64) for name, array in self._changed.items()}

    def original(self, name: str) -> NDArray[Any]:
        """A model field as the task loads it: before any reset, and before what a look paints on the compiled model."""
        return self._original[name]

    def restore_model(self, changes: dict[str, NDArray[np.float64]]) -> None:
        """Put the model where an episode's reset had put it.

        Only elements in which `changes` differs from the model as the task loads it are set, so that a look's own changes to
        the same field (swimmer's lights) survive.
        """
        for name in set(self._changed) | set(changes):
            getattr(self.model, name)[...] = self._pristine[name]
        for name, values in changes.items():
            field = getattr(self.model, name)
            moved = values.reshape(field.shape) != self._original[name]
            field[moved] = values.reshape(field.shape)[moved]
        self._changed = {name: getattr(self.model, name).copy() for name in changes}

    def restore_state(self, state: NDArray[np.float64]) -> None:
        """Set a stored row's state, float64 [P], and compute all that follows from it."""
        mujoco.mj_setState(self.model, self.data, state, _INTEGRATION)
        mujoco.mj_forward(self.model, self.data)

    def observe(self) -> tuple[NDArray[np.float32], float]:
        """The task's observation (float32 [O]) and reward of the state as it is."""
        physics, task = self._env.physics, self._env.task
        return _flat(task.get_observation(physics)), float(task.get_reward(physics))


@contextmanager
def _editing(wardrobe: Wardrobe) -> Iterator[None]:
    """While it lasts, dm_control compiles models from an MjSpec that the look has edited (with no edit: the very same model)."""
    if not wardrobe.edits:
        yield
        return

    def compile_edited(xml: str, assets: dict[str, Any] | None = None) -> Any:
        files = {posixpath.normpath(n): v.encode() if isinstance(v, str) else v for n, v in (assets or {}).items()}
        spec = mujoco.MjSpec.from_string(xml, include=files, assets=files)
        wardrobe.edit(spec)
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", message="compiler attribute 'settotalmass'")  # in the suite's own cheetah
            return wrapper.MjModel(spec.compile())

    with patch.object(wrapper.MjModel, "from_xml_string", compile_edited):
        yield


def _filled(model: Any) -> dict[str, NDArray[Any]]:
    return {name: array for name, array in model_arrays(model).items() if array.size}


def model_arrays(model: Any) -> dict[str, NDArray[Any]]:
    """Copies of all array fields of an MjModel, by name."""
    names = (name for name in dir(model) if not name.startswith("_"))
    return {name: np.array(value) for name in names if isinstance(value := getattr(model, name), np.ndarray)}


def _flat(observation: dict[str, Any]) -> NDArray[np.float32]:
    return np.concatenate([np.ravel(value) for value in observation.values()]).astype(np.float32)
