"""A suite task as a Gymnasium environment: action repeat, state and, where asked for, image observations."""

from dataclasses import dataclass
from typing import Any

import gymnasium
import numpy as np
from gymnasium.spaces import Box, Dict, Space
from numpy.typing import NDArray

from datasets.frames import Look, Quality
from pipeline.sim.render import Renderer
from pipeline.sim.tasks import Simulation

Observation = dict[str, NDArray[Any]]


@dataclass(frozen=True)
class View:
    """How an environment is seen: `size` pixels square, by `camera` (index or name), under `look` (None: the default)."""

    size: int
    camera: int | str = 0
    quality: Quality = "fast"
    look: Look | None = None


class TaskEnv(gymnasium.Env[Observation, NDArray[np.float32]]):
    """One dm_control suite task; satisfies `trainers.protocols.Env`.

    An observation holds `state` float32 [O] (the task's own observation, flattened) and, with a view, `image` uint8
    [H, W, 3]. A step repeats its action and sums the rewards. `terminated` is the task's own end (discount 0),
    `truncated` the end of `episode_steps`. `reset(seed=...)` fixes the whole episode; without a seed, the seeds that
    follow are drawn from the last one given.

    Args:
        task: a name of `pipeline.sim.names.TASKS`.
        action_repeat: control steps per step.
        episode_steps: control steps per episode.
        view: None for no rendering.
        look: without a view, the look whose physics is simulated (an axis size look's differs).

    Raises:
        UserError: unknown task or camera, or no OpenGL where a view is asked for.
    """

    metadata = {"render_modes": ["rgb_array"]}  # noqa: RUF012  # gymnasium's declaration

    def __init__(
        self, task: str, action_repeat: int, episode_steps: int, view: View | None = None, look: Look | None = None
    ) -> None:
        self.simulation = Simulation(task, look if view is None else view.look)
        self.has_state = True
        self._repeat, self._length = action_repeat, episode_steps
        self._renderer: Renderer | None = None
        self.action_low, self.action_high = self.simulation.action_low, self.simulation.action_high
        self.action_space = Box(self.action_low, self.action_high, dtype=np.float32)
        spaces: dict[str, Space[Any]] = {"state": Box(-np.inf, np.inf, (self.simulation.observation_size,), np.float32)}
        if view is not None:
            self._renderer = Renderer(self.simulation, view.size, view.camera, view.quality)
            spaces["image"] = Box(0, 255, (view.size, view.size, 3), np.uint8)
        self.render_mode = None if view is None else "rgb_array"
        self.observation_space = Dict(spaces)  # type: ignore[assignment]
        self.seed = 0
        self._elapsed = 0

    def reset(self, *, seed: int | None = None, options: dict[str, Any] | None = None) -> tuple[Observation, dict[str, Any]]:
        """Start an episode; the info dict names its `seed`."""
        super().reset(seed=seed)
        self.seed = int(self.np_random.integers(2**31)) if seed is None else seed
        self._elapsed = 0
        state = self.simulation.reset(self.seed)
        if self._renderer is not None and "hfield_data" in self.simulation.model_changes():
            self._renderer.upload_terrain()
        return self._observation(state), {"seed": self.seed}

    def step(self, action: NDArray[np.float32]) -> tuple[Observation, float, bool, bool, dict[str, Any]]:
        """One agent step; `info["discount"]` is the task's discount."""
        steps = min(self._repeat, self._length - self._elapsed)
        state, reward, discount, taken = self.simulation.advance(self.clip(action), steps)
        self._elapsed += taken
        return self._observation(state), reward, discount == 0, self._elapsed >= self._length, {"discount": discount}

    def clip(self, action: NDArray[np.float32]) -> NDArray[np.float32]:
        """float32 [A], the action as it is applied."""
        return np.clip(np.asarray(action, np.float32), self.action_low, self.action_high)

    def physics_state(self) -> NDArray[np.float64]:
        """float64 [P], MuJoCo's full integration state, for recording."""
        return self.simulation.state()

    def model_changes(self) -> dict[str, NDArray[np.float64]]:
        """The model fields that this episode's reset changed, for recording."""
        return self.simulation.model_changes()

    def render(self) -> NDArray[np.uint8] | None:
        """The image of the present state, None without a view."""
        return None if self._renderer is None else self._renderer.render()

    def close(self) -> None:
        """Free the renderer."""
        if self._renderer is not None:
            self._renderer.close()

    def _observation(self, state: NDArray[np.float32]) -> Observation:
        if self._renderer is None:
            return {"state": state}
        return {"state": state, "image": self._renderer.render()}
