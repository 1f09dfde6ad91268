"""Which OpenGL MuJoCo renders with: chosen before MuJoCo is imported, because both it and PyOpenGL read it only then.

A user's own `MUJOCO_GL` is left alone. Otherwise EGL (a GPU's, or Mesa's in software) if a display can really be opened,
else OSMesa, else none: physics still works, and the first attempt to render says what to install.
"""

import ctypes
import os
from functools import cache

from datasets.errors import UserError

INSTALL = "install one, as root on Debian or Ubuntu: apt-get install libegl1 libgl1-mesa-dri (or libosmesa6)"
NONE = "disable"
_OFF = {"disable", "disabled", "off", "false", "0"}
_EGL_PLATFORM_DEVICE = 0x313F
_MAX_DEVICES = 16


def choose_gl() -> str:
    """Set `MUJOCO_GL` and `PYOPENGL_PLATFORM` unless the user has; returns the backend: egl, osmesa, disable, or the user's."""
    if "MUJOCO_GL" not in os.environ:
        backend = "egl" if _egl_opens() else "osmesa" if _loads("libOSMesa.so.8", "libOSMesa.so") else NONE
        os.environ["MUJOCO_GL"] = backend
        if backend != NONE:
            os.environ.setdefault("PYOPENGL_PLATFORM", backend)
    return os.environ["MUJOCO_GL"].lower()


def require_gl() -> str:
    """The chosen backend, where rendering is possible at all.

    Raises:
        UserError: no OpenGL library was found, or the user's `MUJOCO_GL` switches rendering off.
    """
    backend = choose_gl()
    if backend in _OFF:
        raise UserError(f"rendering needs OpenGL, and neither EGL nor OSMesa works here (MUJOCO_GL={backend}); {INSTALL}")
    return backend


def _library(*names: str) -> ctypes.CDLL | None:
    for name in names:
        try:
            return ctypes.CDLL(name)
        except OSError:
            continue
    return None


def _loads(*names: str) -> bool:
    return _library(*names) is not None


@cache
def _egl_opens() -> bool:
    """Whether some EGL device's display initialises (a library without a driver loads, and then fails)."""
    egl = _library("libEGL.so.1", "libEGL.so")
    if egl is None:
        return False
    egl.eglGetProcAddress.restype = ctypes.c_void_p
    query = egl.eglGetProcAddress(b"eglQueryDevicesEXT")
    display_of = egl.eglGetProcAddress(b"eglGetPlatformDisplayEXT")
    if not query or not display_of:
        return False
    pointer = ctypes.c_void_p
    query_devices = ctypes.CFUNCTYPE(ctypes.c_uint, ctypes.c_int, pointer, pointer)(query)
    platform_display = ctypes.CFUNCTYPE(pointer, ctypes.c_uint, pointer, pointer)(display_of)
    devices, count = (pointer * _MAX_DEVICES)(), ctypes.c_int()
    if not query_devices(_MAX_DEVICES, devices, ctypes.byref(count)):
        return False
    for device in devices[: count.value]:
        display = platform_display(_EGL_PLATFORM_DEVICE, device, None)
        if display and egl.eglInitialize(pointer(display), None, None):
            egl.eglTerminate(pointer(display))
            return True
    return False
