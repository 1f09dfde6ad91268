"""The OpenGL backend is chosen before MuJoCo is imported; where there is none, one line says what to install."""

import os
import subprocess
import sys

from tests.synthetic import ROOT

WITHOUT_LIBRARIES = """
import ctypes
real = ctypes.CDLL
def no_gl(name, *rest, **more):
    if name and ("EGL" in name or "OSMesa" in name):
        raise OSError(f"{name}: cannot open shared object file")
    return real(name, *rest, **more)
ctypes.CDLL = no_gl
"""
ENV = "from pipeline.sim.env import TaskEnv, View\n"


def python(code: str, **environment: str) -> subprocess.CompletedProcess[str]:
    clean = {name: value for name, value in os.environ.items() if name not in ("MUJOCO_GL", "PYOPENGL_PLATFORM")}
    command = [sys.executable, "-c", code]
    return subprocess.run(command, cwd=ROOT, env=clean | environment, capture_output=True, text=True, timeout=100)


def test_a_working_backend_is_chosen_and_renders_without_noise_at_exit():
    done = python(ENV + "import os; e = TaskEnv('cartpole_swingup', 4, 40, View(32)); e.reset(seed=0); print(os.environ['MUJOCO_GL'])")
    assert done.stdout.strip() in ("egl", "osmesa")
    assert (done.returncode, done.stderr) == (0, "")


def test_the_users_own_choice_stands():
    done = python("from pipeline.sim.gl import choose_gl; print(choose_gl())", MUJOCO_GL="osmesa")
    assert done.stdout.strip() == "osmesa"


def test_physics_needs_no_opengl():
    done = python(WITHOUT_LIBRARIES + ENV + "print(TaskEnv('cartpole_swingup', 4, 40).reset(seed=0)[0]['state'].shape)")
    assert done.stdout.strip() == "(5,)", done.stderr


def test_rendering_without_opengl_is_one_line_that_says_what_to_install():
    done = python(
        WITHOUT_LIBRARIES + "from datasets.errors import UserError\n" + ENV + "try: TaskEnv('cartpole_swingup', 4, 40, View(32))\n"
        "except UserError as error: print(error)"
    )
    (line,) = done.stdout.strip().splitlines()
    assert "apt-get install libegl1 libgl1-mesa-dri" in line
    assert "libosmesa6" in line


def test_a_backend_the_user_chose_that_does_not_load_is_one_line():
    code = "from datasets.errors import UserError\ntry:\n from pipeline.sim.env import TaskEnv, View\n TaskEnv('cartpole_swingup', 4, 40, View(32))\n"
    done = python(code + "except UserError as error: print(error)", MUJOCO_GL="nonsense")
    (line,) = done.stdout.strip().splitlines() or [done.stderr]
    assert "nonsense" in line
