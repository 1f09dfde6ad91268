"""Rendering a simulation's present state, straight on MuJoCo: the pixels of dm_control's `physics.render`, faster.

Quality `standard` keeps dm_control's defaults; `fast` leaves out shadows, reflections and multisampling, which in
software cost 6 to 15 times the rest.
"""

import atexit
from types import TracebackType
from typing import Any
from weakref import WeakSet

import numpy as np
from numpy.typing import NDArray

from datasets.errors import UserError
from datasets.frames import Quality
from pipeline.sim.gl import INSTALL, require_gl
from pipeline.sim.mj import mujoco
from pipeline.sim.tasks import Simulation

_MAX_GEOMS = 10_000
_SEGMENT = (mujoco.mjtRndFlag.mjRND_SEGMENT, mujoco.mjtRndFlag.mjRND_IDCOLOR)
_FAST_OFF = (mujoco.mjtRndFlag.mjRND_SHADOW, mujoco.mjtRndFlag.mjRND_REFLECTION)


class Renderer:
    """One OpenGL context that draws one simulation, under the look that it was made with.

    Args:
        simulation: to draw.
        size: height and width in pixels.
        camera: index or name.
        quality: `fast` or `standard`.

    Raises:
        UserError: there is no working OpenGL, or no such camera.
    """

    def __init__(self, simulation: Simulation, size: int, camera: int | str, quality: Quality) -> None:
        self._model, self._data, self._effects, self.size = simulation.model, simulation.data, simulation.effects, size
        model = self._model
        self._camera = mujoco.MjvCamera()
        self._camera.type = mujoco.mjtCamera.mjCAMERA_FIXED
        self._camera.fixedcamid = camera_index(model, camera)
        self._gl = _context(size)
        self._gl.make_current()
        model.vis.global_.offwidth = model.vis.global_.offheight = size
        if quality == "fast":
            model.vis.quality.offsamples = 0
        self._scene = mujoco.MjvScene(model, _MAX_GEOMS)
        if quality == "fast":
            for flag in _FAST_OFF:
                self._scene.flags[flag] = 0
        self._option = mujoco.MjvOption()
        self._rect = mujoco.MjrRect(0, 0, size, size)
        self._mjr: Any = mujoco.MjrContext(model, mujoco.mjtFontScale.mjFONTSCALE_100)
        mujoco.mjr_setBuffer(mujoco.mjtFramebuffer.mjFB_OFFSCREEN, self._mjr)
        self._flipped = np.empty((size, size, 3), np.uint8)
        if not _open:
            atexit.register(_close_all)  # after MuJoCo's own, so it runs before the display is closed under open contexts
        _open.add(self)

    def upload_terrain(self) -> None:
        """Send height fields again, after `model.hfield_data` changed."""
        self._gl.make_current()
        for index in range(self._model.nhfield):
            mujoco.mjr_uploadHField(self._model, self._mjr, index)

    def render(self) -> NDArray[np.uint8]:
        """uint8 [size, size, 3] of the simulation as it is (positions must be up to date: `mj_forward`)."""
        self._set_scene()
        for effect in self._effects:
            effect.light(self._scene)
        frame = self._draw()
        for effect in self._effects:
            frame = effect.after(frame, self._background, self._data)
        return frame

    def segmentation(self) -> NDArray[np.int32]:
        """int32 [size, size, 2] of the simulation as it is: MuJoCo's object id and type at each pixel, -1 for the sky."""
        self._set_scene()
        return self._segmentation()

    def body_mask(self) -> NDArray[np.bool_]:
        """bool [size, size]: true where a geom of a moving body is seen."""
        seen = self.segmentation()
        moving = np.append(self._model.geom_bodyid != 0, False)
        return np.asarray(moving[np.where(seen[..., 1] == mujoco.mjtObj.mjOBJ_GEOM, seen[..., 0], -1)])

    def _set_scene(self) -> None:
        self._gl.make_current()
        for effect in self._effects:
            effect.before(self._model, self._data)
        mujoco.mjv_updateScene(
            self._model, self._data, self._option, None, self._camera, mujoco.mjtCatBit.mjCAT_ALL, self._scene
        )  # fmt: skip

    def _draw(self) -> NDArray[np.uint8]:
        mujoco.mjr_render(self._rect, self._scene, self._mjr)
        mujoco.mjr_readPixels(self._flipped, None, self._rect, self._mjr)
        return np.ascontiguousarray(self._flipped[::-1])

    def _segmentation(self) -> NDArray[np.int32]:
        for flag in _SEGMENT:
            self._scene.flags[flag] = 1
        colours = self._draw().astype(np.int32)
        for flag in _SEGMENT:
            self._scene.flags[flag] = 0
        index = colours[..., 0] + (colours[..., 1] << 8) + (colours[..., 2] << 16)  # 1 + segid of the scene's geom; 0: sky
        geoms = self._scene.geoms[: self._scene.ngeom]
        table = np.full((len(geoms) + 1, 2), -1, np.int32)
        for geom in geoms:
            if geom.segid >= 0:
                table[geom.segid + 1] = geom.objid, geom.objtype
        return table[index]

    def _background(self) -> NDArray[np.bool_]:
        seen = self._segmentation()
        model, flat = self._model, (mujoco.mjtGeom.mjGEOM_PLANE, mujoco.mjtGeom.mjGEOM_HFIELD)
        scenery = np.append(np.isin(model.geom_type, flat) & (model.geom_bodyid == 0), False)
        geom = seen[..., 1] == mujoco.mjtObj.mjOBJ_GEOM
        return (seen[..., 0] < 0) | scenery[np.where(geom, seen[..., 0], -1)]

    def close(self) -> None:
        """Free the context's memory."""
        if self._mjr is not None:
            self._gl.make_current()
            self._mjr.free()
            self._gl.free()
            self._mjr = None

    def __enter__(self) -> "Renderer":
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self.close()


_open: "WeakSet[Renderer]" = WeakSet()


def _close_all() -> None:
    for renderer in list(_open):
        renderer.close()


def camera_names(model: Any) -> list[str]:
    """Names of a model's cameras, by index (an unnamed one has the name "")."""
    return [model.camera(index).name for index in range(model.ncam)]


def camera_index(model: Any, camera: int | str) -> int:
    """Index of a camera given by index or name.

    Raises:
        UserError: the model has no such camera.
    """
    names = camera_names(model)
    if isinstance(camera, str) and camera in names:
        return names.index(camera)
    if isinstance(camera, int) and 0 <= camera < len(names):
        return camera
    known = ", ".join(f"{index} ({name})" if name else str(index) for index, name in enumerate(names))
    raise UserError(f"render.camera: this task has no camera {camera!r}; it has {known or 'none'}")


def _context(size: int) -> Any:
    """An OpenGL context of the chosen backend."""
    backend = require_gl()
    try:
        if backend == "osmesa":
            from mujoco.osmesa import GLContext
        elif backend == "egl":
            from mujoco.egl import GLContext
        else:
            from mujoco.glfw import GLContext
        return GLContext(size, size)
    except Exception as error:  # each backend and PyOpenGL raise kinds of their own
        reason = (str(error).splitlines() or [type(error).__name__])[0]
        raise UserError(f"OpenGL ({backend}) does not work here: {reason}; {INSTALL}") from None
