"""What the world model last made of each row of replay, for windows that begin after it (DreamerV3: replay keeps latents).

A window's first posterior then follows from the row before it, as when the episode is filtered from its beginning, instead of
from nothing (danijar/dreamerv3, `agent.py`: `replay_context`; latents are written back after every update).
"""

from typing import Any

import torch
from torch import Tensor

from trainers.worldmodel.types import State


class Latents:
    """States of replay's rows: deter in float16, stoch as the index of its class. On the device of what is kept.

    Args:
        classes: K.
    """

    def __init__(self, deter: int, stoch: int, classes: int, device: torch.device) -> None:
        self._classes = classes
        self._deter = torch.zeros(0, deter, dtype=torch.float16, device=device)
        self._stoch = torch.zeros(0, stoch, dtype=torch.uint8 if classes <= 256 else torch.int16, device=device)
        self._known = torch.zeros(0, dtype=torch.bool, device=device)

    def keep(self, starts: Tensor, states: State) -> None:
        """Take in windows' states [B, L, ...], whose first rows are int64 `starts` [B]."""
        rows = (starts[:, None] + torch.arange(states.deter.shape[1], device=starts.device)).flatten()
        self._make_room(int(rows.max()) + 1)
        self._deter[rows] = states.deter.detach().flatten(0, 1).to(self._deter.dtype)
        self._stoch[rows] = states.stoch.detach().flatten(0, 1).argmax(-1).to(self._stoch.dtype)
        self._known[rows] = True

    def before(self, starts: Tensor) -> tuple[State, Tensor]:
        """The states [B, ...] of the rows before `starts`, and whether they are known, bool [B]; zeros where not."""
        rows = (starts - 1).clamp(min=0)
        self._make_room(int(rows.max()) + 1)
        known = self._known[rows] & (starts > 0)
        one_hot = torch.nn.functional.one_hot(self._stoch[rows].long(), self._classes).float()
        return State(self._deter[rows].float() * known[:, None], one_hot * known[:, None, None]), known

    def content(self) -> dict[str, Any]:
        """Tensors, for a checkpoint."""
        return {"deter": self._deter, "stoch": self._stoch, "known": self._known}

    def load(self, content: dict[str, Any]) -> None:
        """The inverse of `content`."""
        device = self._known.device
        self._deter, self._stoch, self._known = (content[name].to(device) for name in ("deter", "stoch", "known"))

    def _make_room(self, rows: int) -> None:
        if (missing := rows - len(self._known)) > 0:
            more = missing + len(self._known) // 2
            self._deter, self._stoch, self._known = (
                torch.cat([held, held.new_zeros(more, *held.shape[1:])]) for held in (self._deter, self._stoch, self._known)
            )
