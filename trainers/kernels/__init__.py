"""GPU kernels, written in Triton, which CUDA's torch brings along; whatever needs one of them also runs without."""

from functools import cache
from importlib.util import find_spec

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
    return find_spec("triton") is not None
