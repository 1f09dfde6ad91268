"""The GPU's kernels against torch's own operations: in Triton's interpreter where there is no GPU.

In a process of their own: Triton and Mesa's OpenGL bring an LLVM each, and whichever is loaded second crashes. Where Triton is
not among the packages, as torch's for CUDA has it, `make test` puts it beside them.
"""

import os
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

import pytest
import torch

from tests.synthetic import ROOT

BESIDE = Path(sys.prefix) / "kernels"


@pytest.mark.skipif(find_spec("triton") is None and not BESIDE.exists(), reason="there is no Triton for this machine")
@pytest.mark.parametrize("name", ["scan", "norm"])
def test_kernels_make_what_torch_makes(name: str):
    environment = os.environ | ({} if torch.cuda.is_available() else {"TRITON_INTERPRET": "1"}) | {"PYTHONPATH": str(BESIDE)}
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", f"tests/kernels/{name}.py"]
    done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, timeout=600)
    assert done.returncode == 0, done.stdout[-4000:] + done.stderr[-2000:]
    assert " passed" in done.stdout
    assert "skipped" not in done.stdout


def test_beside_opengl_in_software_they_are_not_used():
    """On a GPU machine without a GPU's OpenGL, fine-tuning renders by Mesa; loading Triton then would end the process."""
    code = (
        "import pipeline.sim.gl as gl; gl.require_gl(); import mujoco; context = mujoco.GLContext(8, 8); context.make_current()\n"
        "from pathlib import Path; from trainers import kernels\n"
        "assert not ('libLLVM' in Path('/proc/self/maps').read_text() and kernels._installed())"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr[-2000:]
