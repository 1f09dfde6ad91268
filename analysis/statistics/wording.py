"""How far an interval can be trusted, in words, from how often such intervals covered in simulation.

The figures are those of `docs/results/coverage.parquet`, which `benchmarks.coverage` writes.
"""

from pathlib import Path
from typing import Literal

import polars as pl

from analysis.statistics.verdict import FEW_SEEDS
from datasets.errors import DataError

COVERAGE = Path(__file__).resolve().parents[2] / "docs/results/coverage.parquet"
SHORT = 0.02  # an interval that covers this much less often than it says is called short
Unit = Literal["episodes", "runs", "points", "encoders"]
# What tells settings apart: runs are resampled within tasks, so their seeds count; points and encoders are averages over seeds.
_COUNTS = {"episodes": ("clusters", "seeds"), "runs": ("seeds",), "points": ("clusters",), "encoders": ("clusters",)}


def trust(unit: Unit, clusters: int, seeds: int, table: pl.DataFrame | None = None) -> str:
    """One or two sentences on intervals from so many clusters and seeds.

    Args:
        unit: what is resampled: episodes (reward errors), runs (scores), points (correlations) or encoders (regressions).
        clusters: how many there are: episodes of a task, all runs of a representation, points, encoders.
        seeds: fewest of a representation on a task.
        table: of `benchmarks.coverage`; by default the committed one.

    Raises:
        DataError: nothing was simulated for this unit.
    """
    row = nearest(pl.read_parquet(COVERAGE) if table is None else table, unit, clusters, seeds)
    named = " and ".join(_counted(int(row[name]), unit if name == "clusters" else "seeds") for name in _COUNTS[unit])
    low, high, asked = row["low"], row["high"], row["confidence"]
    if any(asked_for < row[name] for name, asked_for in (("clusters", clusters), ("seeds", seeds)) if name in _COUNTS[unit]):
        said = f"Intervals from fewer than {named} were not tried in simulation; do not rely on them."
    elif low < asked - SHORT:
        said = f"Intervals from {named} covered as little as {low:.0%} in simulation, not {asked:.0%}."
    else:
        span = f"{low:.0%}" if round(100 * low) == round(100 * high) else f"{100 * low:.0f}–{high:.0%}"
        said = f"Intervals from {named} covered {span} in simulation, as they should ({asked:.0%})."
    return said if seeds >= FEW_SEEDS else f"{said} Nothing is decided on fewer than three seeds."


def nearest(table: pl.DataFrame, unit: Unit, clusters: int, seeds: int) -> dict[str, float]:
    """The largest simulated setting that is no larger than what is asked about (else the smallest).

    Returns:
        clusters and seeds (those that tell settings apart), confidence, low and high (shares that covered, worst and best).
    """
    own = table.filter(unit=unit)
    if own.is_empty():
        raise DataError(f"{COVERAGE.name} has no intervals by {unit}; run python -m benchmarks.coverage")
    shares = own.group_by(*_COUNTS[unit], "confidence").agg(low=pl.col("covered").min(), high=pl.col("covered").max())
    for name, value in (("seeds", seeds), ("clusters", clusters)):
        shares = _upto(shares, name, value) if name in _COUNTS[unit] else shares
    return shares.row(0, named=True)


def _upto(shares: pl.DataFrame, name: str, value: int) -> pl.DataFrame:
    fitting = shares.filter(pl.col(name) <= value)
    best = fitting[name].max() if len(fitting) else shares[name].min()
    return shares.filter(pl.col(name) == best)


def _counted(count: int, unit: str) -> str:
    return f"{count} {unit if count != 1 else unit.removesuffix('s')}"
