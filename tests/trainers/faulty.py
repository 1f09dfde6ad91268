"""Environments that go wrong, for processes to import: a counter whose state is what was done to it."""

import os
import signal
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np

from datasets.errors import UserError

LENGTH = 8


class Counter:
    """State [seed, step, sum of actions], reward the action; truncated at step `LENGTH`, of an odd seed terminated at step 5."""

    action_low, action_high = -np.ones(1, np.float32), np.ones(1, np.float32)

    def reset(self, *, seed: int | None = None) -> tuple[dict[str, Any], dict[str, Any]]:
        self.seen = np.array([seed, 0, 0], np.float32)
        return {"state": self.seen.copy()}, {}

    def step(self, action: np.ndarray) -> tuple[dict[str, Any], float, bool, bool, dict[str, Any]]:
        self.seen += [0, 1, action[0]]
        at = int(self.seen[1])
        return {"state": self.seen.copy()}, float(action[0]), at == 5 and self.seen[0] % 2 == 1, at == LENGTH, {}


class Faulty(Counter):
    """Goes wrong at step `at` of episodes of seed 2.

    Args:
        how: `kill`, `hang`, `raise` or `refuse` (with an error for the user).
        once: a file that is left behind, so that it goes wrong only once; None for always.
    """

    def __init__(self, how: str, at: int, once: Path | None = None) -> None:
        self.how, self.at, self.once = how, at, once

    def reset(self, *, seed: int | None = None) -> tuple[dict[str, Any], dict[str, Any]]:
        answer = super().reset(seed=seed)
        self._fail()
        return answer

    def step(self, action: np.ndarray) -> tuple[dict[str, Any], float, bool, bool, dict[str, Any]]:
        answer = super().step(action)
        self._fail()
        return answer

    def _fail(self) -> None:
        if self.seen[:2].tolist() != [2, self.at] or (self.once is not None and self.once.exists()):
            return
        if self.once is not None:
            self.once.touch()
        match self.how:
            case "kill":
                os.kill(os.getpid(), signal.SIGKILL)
            case "hang":
                time.sleep(600)
            case "raise":
                raise ZeroDivisionError("the pole left the cart")
            case "refuse":
                raise UserError("the pole is missing: install a pole")


class Fickle(Counter):
    """Not deterministic: its rewards are of its process."""

    def step(self, action: np.ndarray) -> tuple[dict[str, Any], float, bool, bool, dict[str, Any]]:
        observation, _, terminated, truncated, info = super().step(action)
        return observation, float(os.getpid()), terminated, truncated, info


def unmakeable() -> Counter:
    raise UserError("no pole here")


def ends() -> Counter:
    sys.exit(3)
