"""MuJoCo and dm_control, imported in the right order: after the OpenGL backend is chosen."""

from datasets.errors import UserError
from pipeline.sim.gl import INSTALL, choose_gl

_backend = choose_gl()

try:
    import mujoco
    from dm_control import suite
    from dm_control.mujoco import wrapper
except ModuleNotFoundError:
    raise
except (ImportError, AttributeError, RuntimeError) as error:  # what PyOpenGL, MuJoCo and dm_control raise for a backend
    raise UserError(f"MUJOCO_GL={_backend} does not work here ({str(error).splitlines()[0]}); unset it, or {INSTALL}") from None

__all__ = ["mujoco", "suite", "wrapper"]
