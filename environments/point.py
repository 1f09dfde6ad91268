import gymnasium
import numpy as np
from gymnasium.spaces import Box


class Point(gymnasium.Env):  # a point in a plane, rewarded for being near the middle
    observation_space, action_space = Box(-1, 1, (2,)), Box(-0.1, 0.1, (2,))

    def reset(self, *, seed=None, options=None):
        super().reset(seed=seed)
        self.at = self.np_random.uniform(-1, 1, 2)
        return self.at.astype("f"), {}

    def step(self, action):
        self.at = np.clip(self.at + action, -1, 1)
        return self.at.astype("f"), float(np.exp(-4 * self.at @ self.at)), False, False, {}

    def render(self):
        frame = np.zeros((48, 48, 3), np.uint8)
        x, y = np.int32(23.5 + 20 * self.at)
        frame[y - 3 : y + 4, x - 3 : x + 4] = 255
        return frame
