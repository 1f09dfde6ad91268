"""Environments that a user might write, as files: well-behaved and not."""

from pathlib import Path

HEAD = """
import gymnasium
import numpy as np
from gymnasium.spaces import Box, Dict, Discrete, MultiDiscrete, Sequence


class Base(gymnasium.Env):
    observation_space, action_space = Box(-9, 9, (2,)), Box(-1, 1, (1,))
    ends = 10**9

    def reset(self, *, seed=None, options=None):
        super().reset(seed=seed)
        self.t, self.x = 0, self.np_random.uniform(-1, 1, 2)
        return self.seen(), {}

    def seen(self):
        return self.x.astype("float32")

    def step(self, action):
        self.t += 1
        self.taken = action
        self.x = self.x + np.float32(0.1) * np.asarray(action).mean()
        return self.seen(), float(self.x.sum()), self.t >= self.ends, False, {}

    def render(self):
        return np.full((32, 32, 3), int(40 + self.t), np.uint8)

"""


def write_environment(path: Path, body: str) -> Path:
    """Write `Env`, a class with `body`, derived from a plain one of two numbers and one action in [-1, 1]."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(HEAD + "\nclass Env(Base):\n" + "".join(f"    {line}\n" for line in body.strip("\n").split("\n")))
    return path
