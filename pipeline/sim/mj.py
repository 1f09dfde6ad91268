"""MuJoCo and dm_control, imported in the right order: after the OpenGL backend is chosen."""

from pipeline.sim.gl import choose_gl

choose_gl()

import mujoco  # noqa: E402
from dm_control import suite  # noqa: E402

__all__ = ["mujoco", "suite"]
