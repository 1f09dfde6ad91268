"""What this machine is, for tables of what something took."""

import os
import platform
from pathlib import Path


def hardware() -> str:
    """Processor, cores this process may use, and the NVIDIA GPUs."""
    model = platform.processor() or platform.machine()
    cpuinfo = Path("/proc/cpuinfo")
    if cpuinfo.exists():
        names = [line.partition(":")[2].strip() for line in cpuinfo.read_text().splitlines() if line.startswith("model name")]
        model = names[0] if names else model
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    gpus = [
        line.partition(":")[2].strip()
        for file in Path("/proc/driver/nvidia/gpus").glob("*/information")
        for line in file.read_text().splitlines()
        if line.startswith("Model")
    ]
    return ", ".join([model, f"{cores} cores", *gpus])
