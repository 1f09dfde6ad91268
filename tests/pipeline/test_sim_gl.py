"""The OpenGL backend is chosen before MuJoCo is imported; where there is none, one line says what to install."""

import os
import subprocess
import sys
from ctypes.util import find_library

import pytest

from tests.synthetic import ROOT

WITHOUT_LIBRARIES = """
import ctypes
class NoGl(ctypes.CDLL):
    def __init__(self, name, *rest, **more):
        if name and ("EGL" in name or "OSMesa" in name):
            raise OSError(f"{name}: cannot open shared object file")
        super().__init__(name, *rest, **more)
ctypes.CDLL = NoGl
"""
RENDER = """
from datasets.errors import UserError
try:
    from pipeline.sim.env import TaskEnv, View
    env = TaskEnv("cartpole_swingup", 4, 40, View(32))
    print(env.reset(seed=0)[0]["image"].shape)
except UserError as error:
    print("error:", error)
"""


def python(code: str, **environment: str) -> str:
    """What `code` prints in a process of its own, where no backend is chosen yet."""
    clean = {name: value for name, value in os.environ.items() if name not in ("MUJOCO_GL", "PYOPENGL_PLATFORM")}
    command = [sys.executable, "-c", code]
    done = subprocess.run(command, cwd=ROOT, env=clean | environment, capture_output=True, text=True, timeout=100)
    assert (done.returncode, done.stderr) == (0, "")  # not even noise when the interpreter closes its contexts
    return done.stdout.strip()


def test_a_working_backend_is_chosen():
    size, backend = python(RENDER + "import os; print(os.environ['MUJOCO_GL'])").splitlines()
    assert size == "(32, 32, 3)"
    assert backend in ("egl", "osmesa")


def test_the_users_own_choice_stands():
    assert python("from pipeline.sim.gl import choose_gl; print(choose_gl())", MUJOCO_GL="osmesa") == "osmesa"


def test_physics_needs_no_opengl():
    code = "from pipeline.sim.env import TaskEnv; print(TaskEnv('cartpole_swingup', 4, 40).reset(seed=0)[0]['state'].shape)"
    assert python(WITHOUT_LIBRARIES + code) == "(5,)"


def test_rendering_without_opengl_is_one_line_that_says_what_to_install():
    (line,) = python(WITHOUT_LIBRARIES + RENDER).splitlines()
    assert line.startswith("error: rendering needs OpenGL")
    assert "apt-get install libegl1 libgl1-mesa-dri (or libosmesa6)" in line


def test_rendering_switched_off_by_the_user_is_one_line():
    (line,) = python(RENDER, MUJOCO_GL="off").splitlines()
    assert line.startswith("error: rendering needs OpenGL")
    assert "MUJOCO_GL=off" in line


def test_a_backend_of_the_users_that_does_not_exist_is_one_line():
    (line,) = python(RENDER, MUJOCO_GL="nonsense").splitlines()
    assert line.startswith("error: MUJOCO_GL=nonsense does not work here")


@pytest.mark.skipif(find_library("OSMesa") is not None, reason="OSMesa is installed here")
def test_a_backend_of_the_users_whose_library_is_missing_is_one_line():
    (line,) = python(RENDER, MUJOCO_GL="osmesa").splitlines()
    assert line.startswith("error: MUJOCO_GL=osmesa does not work here")
    assert "apt-get install" in line
