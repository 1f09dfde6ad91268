"""GPU kernels, written in Triton, which CUDA's torch brings along; whatever uses one of them also runs without."""

import sys
from functools import cache
from importlib.util import find_spec
from pathlib import Path

from torch import Tensor

DEVICES = ["cuda"]


def reach(tensor: Tensor) -> bool:
    """Whether they can be used where a tensor is."""
    return tensor.device.type in DEVICES and _installed()


def power_of_two(size: int) -> int:
    """The least one that is not below `size`."""
    return 1 << (size - 1).bit_length()


@cache
def _installed() -> bool:
    """Whether Triton is there, and can be loaded into this process: beside the LLVM of OpenGL in software it crashes."""
    return find_spec("triton") is not None and ("triton" in sys.modules or not _is_loaded("libLLVM"))


def _is_loaded(library: str) -> bool:
    maps = Path("/proc/self/maps")
    return maps.exists() and library in maps.read_text()
