"""What an axis of looks is made of: changes before the model is compiled, after it, and as time passes."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pipeline.sim.looks.draw import Draw

Frame = NDArray[np.uint8]


class Effect:
    """A change that depends on the physics state: `data.time` is its clock. Each method does nothing unless overridden."""

    def before(self, model: Any, data: Any) -> None:
        """Change the model, before the scene is made of it; leaves no trace in the physics."""

    def light(self, scene: Any) -> None:
        """Change the scene (an MjvScene), before it is drawn."""

    def after(self, frame: Frame, background: Callable[[], NDArray[np.bool_]], data: Any) -> Frame:
        """Change the picture.

        Args:
            frame: uint8 [H, W, 3].
            background: gives bool [H, W], true where sky, floor or terrain is seen.
        """
        return frame


@dataclass(frozen=True)
class Axis:
    """One way for a look to differ, by an amplitude that rises with its severity (`calibration.amplitude`).

    Attributes:
        edit: changes an MjSpec before it is compiled.
        apply: changes the compiled MjModel.
        effect: makes what changes with time, from the MjModel as `apply` left it.
        paired: whether the physics stays the same, so that the look shows the same trajectories.
    """

    edit: Callable[[Any, float, Draw], None] | None = None
    apply: Callable[[Any, float, Draw], None] | None = None
    effect: Callable[[Any, float, Draw], Effect] | None = None
    paired: bool = True
