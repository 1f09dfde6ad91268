"""How a process computes, and in how many bits."""

from typing import Literal

import torch

Precision = Literal["fp32", "bf16"]


def set_arithmetic(threads: int, precision: Precision) -> None:
    """So many threads; float32 on a GPU as it is, or, where bfloat16 is good enough, rounded to TF32."""
    torch.set_num_threads(threads)
    torch.set_float32_matmul_precision("highest" if precision == "fp32" else "high")
    torch.backends.cudnn.allow_tf32 = precision != "fp32"


def cast(device: torch.device, precision: Precision) -> torch.autocast:
    """Products in bfloat16 where asked for; what adds up many numbers stays float32."""
    return torch.autocast(device.type, torch.bfloat16, enabled=precision == "bf16")
