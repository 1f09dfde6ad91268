"""Peak memory of collecting, rendering and encoding ten times as many episodes, over that of the few.

The sum over a stage's processes, sampled while it runs, as a person would see it.
"""

import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from benchmarks import Row

TASK = "walker_walk"
FEW, TIMES = 2, 10  # episodes of each quality
STEPS, REPEAT = 200, 2
EVERY_S = 0.02
ROOT = Path(__file__).resolve().parent.parent


def measure() -> Iterator[Row]:
    peaks: dict[str, list[int]] = {"collect": [], "render": [], "encode": []}
    for count in (FEW, FEW * TIMES):
        with tempfile.TemporaryDirectory() as name:
            folder = Path(name)
            _write_params(folder, count)
            for stage in ("collect", "render", "pretrain", "encode"):
                encoder = ["--encoder", "random"] if stage in ("pretrain", "encode") else []
                peak = _peak([sys.executable, "-m", f"pipeline.{stage}", "--task", TASK, *encoder], folder)
                if stage in peaks:
                    peaks[stage].append(peak)
    for stage, (few, many) in peaks.items():
        detail = f"{TASK}: {4 * FEW} episodes {few >> 20} MiB, {4 * FEW * TIMES} episodes {many >> 20} MiB, processes together"
        yield {"id": f"{stage}_memory_10x", "ratio": many / few, "detail": detail}


def _write_params(folder: Path, count: int) -> None:
    from ruamel.yaml import YAML

    yaml = YAML()
    values: dict[str, Any] = yaml.load((ROOT / "presets" / "embedded.yaml").read_text())
    values["tasks"] = [TASK]
    counts = dict.fromkeys(("random", "medium", "replay", "expert"), count)
    values["collect"] |= {"action_repeat": REPEAT, "episode_steps": STEPS, "episodes": counts}
    values["collect"]["validation"] = counts | {"random": 1}
    values["collect"]["sac"].update(steps=2100, learning_starts=200, checkpoint_every=1000, hidden=16, batch=16)
    values["render"] |= {"axes": ["camera"], "severities": [1.0], "episodes_per_shard": 4}
    with open(folder / "params.yaml", "w") as file:
        yaml.dump(values, file)


def _peak(command: list[str], folder: Path) -> int:
    """Largest resident memory of a process and its children together, in bytes."""
    import psutil

    environment = os.environ | {"PYTHONPATH": str(ROOT), "ENCORE_STORE": str(folder / "store")}
    process = subprocess.Popen(command, cwd=folder, env=environment, stderr=subprocess.PIPE, text=True)
    most, watched = 0, psutil.Process(process.pid)
    while process.poll() is None:
        total = 0
        try:
            for each in (watched, *watched.children(recursive=True)):
                total += each.memory_info().rss
        except psutil.Error:
            continue  # one ended while it was looked at
        most = max(most, total)
        time.sleep(EVERY_S)
    if process.returncode:
        raise RuntimeError(process.stderr.read().strip() if process.stderr else "failed")
    return most
