"""Any Gymnasium environment as one of ours: a flat state, a square picture, actions within [-1, 1], action repeat."""

from collections.abc import Callable
from typing import Any

import gymnasium
import numpy as np
from gymnasium.spaces import Box, Dict, Discrete, Space, flatten, flatten_space
from numpy.typing import NDArray
from PIL import Image, ImageOps

from datasets.errors import UserError
from pipeline.sim.source import Source, open_source

Observation = dict[str, NDArray[Any]]
_LEAST_SIDE = 16  # of an image observation; smaller arrays (grid worlds' symbols) are state


class GymEnv(gymnasium.Env[Observation, NDArray[np.float32]]):
    """An environment of the user's own; satisfies `trainers.protocols.Env` as `pipeline.sim.env.TaskEnv` does.

    An observation holds `state` float32 [O], all of the environment's observation that is no image, flattened (a constant 0
    where nothing is left: `has_state` is false), and, with a `size`, `image` uint8 [size, size, 3]: the image observation if
    there is one, else what `render()` gives; area-averaged, black bars making it square. Actions are float32 [A] within
    [-1, 1], scaled to the environment's own bounds; of n discrete ones that with the largest of A = n numbers is taken.

    A step repeats its action and sums the rewards. `terminated` is the environment's own (discount 0); `truncated` the end of
    `episode_steps`, or the environment's own. `reset(seed=...)` is handed on.

    Args:
        action_repeat, episode_steps: in steps of the environment.
        size: of the picture, None for none.

    Raises:
        UserError: it cannot be made, has an action or observation that has no place here, or shows nothing.
    """

    metadata = {"render_modes": ["rgb_array"]}  # noqa: RUF012  # gymnasium's declaration

    def __init__(self, source: Source, action_repeat: int, episode_steps: int, size: int | None = None) -> None:
        self._source, self._repeat, self._length, self._size = source, action_repeat, episode_steps, size
        self._env = open_source(source, rendered=False)
        self._image, self._vector = _parts(source, self._env.observation_space)
        if size is not None and self._image is None:
            self._env.close()
            self._env = open_source(source, rendered=True)
        count, self._native = _actions(source, self._env.action_space)
        self.action_low, self.action_high = -np.ones(count, np.float32), np.ones(count, np.float32)
        self.action_space = Box(self.action_low, self.action_high, dtype=np.float32)
        self.has_state = self._vector is not None
        self.camera = "render" if self._image is None else self._image or "observation"
        flat = 1 if self._vector is None else int(np.prod(_flat_space(source, self._vector).shape))
        spaces: dict[str, Space[Any]] = {"state": Box(-np.inf, np.inf, (flat,), np.float32)}
        if size is not None:
            spaces["image"] = Box(0, 255, (size, size, 3), np.uint8)
        self.render_mode = None if size is None else "rgb_array"
        self.observation_space = Dict(spaces)  # type: ignore[assignment]
        self.seed = 0
        self._elapsed = 0
        self._last: Any = None

    def reset(self, *, seed: int | None = None, options: dict[str, Any] | None = None) -> tuple[Observation, dict[str, Any]]:
        """Start an episode; the info dict names its `seed`."""
        super().reset(seed=seed)
        self.seed = int(self.np_random.integers(2**31)) if seed is None else seed
        self._elapsed = 0
        self._last, _ = self._env.reset(seed=self.seed)
        return self._observation(), {"seed": self.seed}

    def step(self, action: NDArray[np.float32]) -> tuple[Observation, float, bool, bool, dict[str, Any]]:
        """One agent step; `info["discount"]` is 0 where the episode ended for good, else 1."""
        native, total, terminated, truncated = self._native(self.clip(action)), 0.0, False, False
        for _ in range(min(self._repeat, self._length - self._elapsed)):
            self._last, reward, terminated, truncated, _ = self._env.step(native)
            total += float(reward)
            self._elapsed += 1
            if terminated or truncated:
                break
        if not np.isfinite(total):
            raise UserError(f"{self._source.key}: the reward after {self._elapsed} steps of seed {self.seed} is {total}")
        ended = bool(truncated) or self._elapsed >= self._length
        return self._observation(), total, bool(terminated), ended, {"discount": 0.0 if terminated else 1.0}

    def clip(self, action: NDArray[np.float32]) -> NDArray[np.float32]:
        """float32 [A], the action as it is applied."""
        return np.clip(np.asarray(action, np.float32), self.action_low, self.action_high)

    def physics_state(self) -> NDArray[np.float64]:
        """float64 [0]: an environment in general has no state that could be stored and restored."""
        return np.empty(0)

    def model_changes(self) -> dict[str, NDArray[np.float64]]:
        """None, for the same reason."""
        return {}

    def render(self) -> NDArray[np.uint8] | None:
        """The image of the present state, None without a size."""
        if self._size is None:
            return None
        if self._image is None:
            try:
                frame: Any = self._env.render()
            except gymnasium.error.Error as error:  # a library that draws is not installed
                raise UserError(f"{self._source.key} cannot be rendered: {str(error).splitlines()[0]}") from None
        else:
            frame = self._last if self._image == "" else self._last[self._image]
        if not (isinstance(frame, np.ndarray) and frame.dtype == np.uint8 and frame.ndim == 3 and frame.shape[2] == 3):
            got = f"{frame.dtype} {list(frame.shape)}" if isinstance(frame, np.ndarray) else type(frame).__name__
            raise UserError(
                f"{self._source.key}: render() gave {got}, uint8 [H, W, 3] expected:"
                " it needs render_mode rgb_array, or an image observation"
            )
        return squared(frame, self._size)

    def close(self) -> None:
        """Free what the environment holds."""
        self._env.close()

    def _observation(self) -> Observation:
        state = np.zeros(1, np.float32)
        if self._vector is not None:
            state = np.asarray(flatten(self._vector, self._last), np.float32)
            expected = self.observation_space["state"].shape  # type: ignore[index]
            if state.shape != expected:
                raise UserError(
                    f"{self._source.key}: an observation of {state.size} numbers, its observation_space says {expected[0]}"
                )
            if not np.isfinite(state).all():
                raise UserError(
                    f"{self._source.key}: the observation after {self._elapsed} steps of seed {self.seed} is not finite"
                )
        return {"state": state} if self._size is None else {"state": state, "image": self.render()}  # type: ignore[dict-item]


def squared(frame: NDArray[np.uint8], size: int) -> NDArray[np.uint8]:
    """uint8 [size, size, 3] of uint8 [H, W, 3]: area means of the whole of it, black bars on the shorter side."""
    if frame.shape == (size, size, 3):
        return frame.copy()  # the environment may draw the next one into it
    return np.asarray(ImageOps.pad(Image.fromarray(frame), (size, size), Image.Resampling.BOX))


def _parts(source: Source, space: "Space[Any]") -> "tuple[str | None, Space[Any] | None]":
    """(which part of an observation is the picture: a key, "" for the whole, None for none; the space of the rest)."""
    if _is_image(space):
        return "", None
    if not isinstance(space, Dict):
        return None, space
    images = [name for name, part in space.items() if _is_image(part)]
    if len(images) > 1:
        raise UserError(
            f"{source.key}: several image observations ({', '.join(images)}): leave one,"
            " for example with gymnasium.wrappers.FilterObservation"
        )
    rest = {name: part for name, part in space.items() if name not in images}
    return (images[0] if images else None), (Dict(rest) if rest else None)


def _is_image(space: "Space[Any]") -> bool:
    shape = space.shape or ()
    image = isinstance(space, Box) and space.dtype == np.uint8 and len(shape) == 3 and shape[2] == 3
    return image and min(shape[:2]) >= _LEAST_SIDE


def _flat_space(source: Source, space: "Space[Any]") -> Box:
    flat = flatten_space(space)
    if not isinstance(flat, Box):
        raise UserError(f"{source.key}: an observation of {type(space).__name__} cannot be flattened to a vector")
    return flat


def _actions(source: Source, space: "Space[Any]") -> "tuple[int, Callable[[NDArray[np.float32]], Any]]":
    """(A, what turns float32 [A] within [-1, 1] into an action of `space`)."""
    if isinstance(space, Discrete):
        start = int(space.start)
        return int(space.n), lambda action: start + int(action.argmax())
    if not isinstance(space, Box) or space.dtype.kind != "f":
        raise UserError(f"{source.key}: its action space is {space}; a Box of floats or Discrete is expected")
    low, high, shape, dtype = space.low, space.high, space.shape, space.dtype
    if not (np.isfinite(low).all() and np.isfinite(high).all() and (low < high).all()):
        raise UserError(
            f"{source.key}: its action space {space} is not bounded: give it finite bounds, low below high,"
            " for example with gymnasium.wrappers.RescaleAction"
        )

    def native(action: NDArray[np.float32]) -> NDArray[Any]:
        share = (action.astype(np.float64).reshape(shape) + 1) / 2
        return np.clip(low + share * (high.astype(np.float64) - low), low, high).astype(dtype)

    return int(np.prod(shape)), native
