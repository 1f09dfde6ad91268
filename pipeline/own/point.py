"""A point in a plane, rewarded for being near the middle: the environment of docs/environments.md."""

import gymnasium
import numpy as np
from gymnasium.spaces import Box


class Point(gymnasium.Env):
    observation_space, action_space = Box(-1, 1, (2,)), Box(-0.1, 0.1, (2,))

    def reset(self, *, seed=None, options=None):
        super().reset(seed=seed)
        self.at = self.np_random.uniform(-1, 1, 2)
        return self.at.astype("float32"), {}

    def step(self, action):
        self.at = np.clip(self.at + action, -1, 1)
        return self.at.astype("float32"), float(np.exp(-4 * self.at @ self.at)), False, False, {}

    def render(self):
        far = np.hypot(*(np.indices((64, 64)) / 32 - 1 - self.at[:, None, None]))
        return (255 * np.exp(-30 * far[..., None] ** 2) * [1, 1, 0.2]).astype("uint8")
