"""GPU kernels, written in Triton, which CUDA's torch brings along; whatever uses one of them also runs without."""

import sys
from functools import cache
from importlib.util import find_spec
from pathlib import Path

import torch
from torch import Tensor

DEVICES = ["cuda"]
_AMPERE = (8, 0)
_SMALL_GPU = 99 * 1024


def reach(tensor: Tensor) -> bool:
    """Whether they can be used where a tensor is: on a GPU whose matrix units know TF32 and bfloat16."""
    return tensor.device.type in DEVICES and _installed() and _is_recent(tensor.device)


def shared_memory(device: torch.device) -> int:
    """Bytes that a program may have beside its registers."""
    if device.type != "cuda":
        return _SMALL_GPU
    return int(getattr(torch.cuda.get_device_properties(device), "shared_memory_per_block_optin", _SMALL_GPU))


def power_of_two(size: int) -> int:
    """The least one that is not below `size`."""
    return 1 << (size - 1).bit_length()


@cache
def _is_recent(device: torch.device) -> bool:
    return device.type != "cuda" or torch.cuda.get_device_capability(device) >= _AMPERE


@cache
def _installed() -> bool:
    """Whether Triton is there, and can be loaded into this process: beside the LLVM of OpenGL in software it crashes."""
    return find_spec("triton") is not None and ("triton" in sys.modules or not _is_loaded("libLLVM"))


def _is_loaded(library: str) -> bool:
    maps = Path("/proc/self/maps")
    return maps.exists() and library in maps.read_text()
