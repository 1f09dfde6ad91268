"""Sums of a hundred million predictions by four keys, and errors with intervals: time and peak memory beside bare polars.

    python -m benchmarks.aggregate_large
    python -m benchmarks.aggregate_large --rows 1000000 --pairs 1

Not part of `make bench`: writing the table takes a minute. Each side is a process of its own, the sides alternate.
"""

import itertools
import json
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from benchmarks.run import hardware
from pipeline.stage import run

if TYPE_CHECKING:
    import polars as pl

KEYS = ("axis", "severity", "split", "horizon")
STEPS, SHORT, LONG_STARTS, EPISODES, SEEDS, RESAMPLES = 250, 15, 5, 18, 3, 1000
AXES, SEVERITIES, QUALITIES = ("texture", "lighting", "camera"), (0.25, 0.5, 1.0), ("random", "medium", "replay", "expert")


def main(rows: int = 100_000_000, pairs: int = 3, side: str = "", path: Path = Path()) -> None:
    if side:
        print(json.dumps(_measured(SIDES[side], path)))
        return
    with tempfile.TemporaryDirectory() as name:
        table = Path(name) / "reward_error.parquet"
        written = write_rows(table, rows)
        print(f"{written:,} rows, {table.stat().st_size / 1e6:.0f} MB; by {', '.join(KEYS)}; {hardware()}")
        found: dict[str, list[dict[str, float]]] = {which: [] for which in SIDES}
        for _ in range(pairs):
            for which, figures in found.items():
                command = [sys.executable, "-m", "benchmarks.aggregate_large", "--side", which, "--path", str(table)]
                done = subprocess.run(command, capture_output=True, text=True, check=True)
                figures.append(json.loads(done.stdout))
    for which, figures in found.items():
        peak = max(f["peak_gib"] for f in figures)
        cpu, wall = (statistics.median(f[name] for f in figures) for name in ("cpu_s", "wall_s"))
        print(f"  {which}: {cpu:.1f} s of CPU time, {wall:.1f} s, peak {peak:.2f} GiB")
    for mine, other in itertools.product(("sums", "intervals"), ("bare", "scan")):
        sides = list(zip(found[mine], found[other], strict=True))
        ratios = (statistics.median(a[name] / b[name] for a, b in sides) for name in ("cpu_s", "wall_s"))
        print(f"  {mine} / {other}: {' of CPU time, '.join(f'{ratio:.2f}' for ratio in ratios)} of time")


def sums(path: Path) -> int:
    """What every figure of error is made of, of every episode of every model, by four keys."""
    return len(_summed(path))


def intervals(path: Path) -> int:
    """R2, MAE, bias with intervals, of every representation on every task, by four keys."""
    from analysis.errors import errors_by
    from analysis.resample import Resampling

    return len(errors_by(_summed(path), KEYS, Resampling(RESAMPLES, 0.95, 0)))


def _summed(path: Path) -> "pl.DataFrame":
    import polars as pl

    from analysis.sums import MODEL, episode_sums

    return episode_sums(pl.scan_parquet(path), SHORT, (*MODEL, "episode", *KEYS[:-1]))


def bare(path: Path) -> int:
    """Polars' own mean absolute error by four keys, no intervals."""
    import polars as pl

    error = (pl.col("reward_pred") - pl.col("reward")).abs().mean()
    return len(pl.scan_parquet(path).group_by("encoder", "axis", "severity", "horizon").agg(error).collect(engine="streaming"))


def scan(path: Path) -> int:
    """Every column that `ours` reads, read once: the largest value of each."""
    import polars as pl

    columns = ("encoder", "algorithm", "seed", "task", "episode", *KEYS, "reward", "reward_pred")
    return len(pl.scan_parquet(path).select(pl.col(columns).max()).collect(engine="streaming"))


SIDES = {"sums": sums, "intervals": intervals, "bare": bare, "scan": scan}


def write_rows(path: Path, rows: int) -> int:
    """Made-up predictions in the layout that `evaluate` writes, whole parts, at least `rows`; how many there are."""
    import polars as pl

    from analysis.tables import REWARD_ERROR

    short = [(t, h) for t in range(1, STEPS + 1) for h in range(min(t, SHORT) + 1)]
    starts = np.linspace(0, STEPS - SHORT - 2, LONG_STARTS).astype(int)
    t, horizon = np.array(sorted([*short, *((c + h, h) for c in starts for h in range(SHORT + 1, STEPS - c + 1))]), np.int32).T
    reward = np.tile(np.round((np.sin(t * 0.05) + 1) * 64) / 64, EPISODES)
    episode = np.repeat(np.arange(EPISODES, dtype=np.int32), len(t))
    quality = np.array(QUALITIES)[episode % len(QUALITIES)]
    base = pl.DataFrame(
        {"quality": quality, "episode": episode, "t": np.tile(t, EPISODES), "horizon": np.tile(horizon, EPISODES)}
    )
    looks = [("default", "default", 0.0, "id"), *((f"{a}-{s:.2f}-0", a, s, "ood") for a in AXES for s in SEVERITIES)]
    rng = np.random.default_rng(0)
    parts = -(-rows // (len(base) * SEEDS * len(looks)))
    with tempfile.TemporaryDirectory(dir=path.parent) as folder:
        for part in range(parts):
            tables = []
            for look in looks:
                for seed in range(SEEDS):
                    noise = rng.integers(-32, 33, len(base)) / 64 * (1 + look[2])
                    names = {"encoder": f"encoder_{part % 8}", "task": f"task_{part // 8}", "preset": "paper", "seed": seed}
                    names |= dict(zip(("variant", "axis", "severity", "split"), look, strict=True)) | {"algorithm": "dreamerv3"}
                    columns = {name: pl.lit(value) for name, value in names.items()}
                    table = base.with_columns(reward=pl.Series(reward), reward_pred=pl.Series(reward + noise), **columns)
                    tables.append(table.select(pl.col(name).cast(dtype) for name, dtype in REWARD_ERROR.items()))
            pl.concat(tables).write_parquet(Path(folder) / f"{part:04}.parquet")
        pl.scan_parquet(Path(folder) / "*.parquet").sink_parquet(path, compression="zstd", maintain_order=True)
    return parts * len(base) * SEEDS * len(looks)


def _measured(function: Callable[[Path], int], path: Path) -> dict[str, float]:
    import time

    import analysis.errors  # noqa: F401  importing is not timed

    wall, cpu = time.perf_counter(), time.process_time()
    groups = function(path)
    taken = {"wall_s": time.perf_counter() - wall, "cpu_s": time.process_time() - cpu, "groups": groups}
    status = dict(line.split(":", 1) for line in Path("/proc/self/status").read_text().splitlines())
    return taken | {"peak_gib": int(status["VmHWM"].split()[0]) / 2**20}  # getrusage's would begin at the parent's


if __name__ == "__main__":
    run(main)
