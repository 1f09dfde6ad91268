"""Runs in one number per representation over all tasks and seeds, as rliable has it: IQM, performance profile, improvement."""

import numpy as np
import polars as pl

from analysis.claims.runs import explained, returns
from analysis.resample import Resampling
from analysis.results import SCRATCH, Results
from analysis.statistics.improvement import improvements
from analysis.statistics.scores import aggregates, profiles

THRESHOLDS = [round(float(t), 3) for t in np.linspace(0, 1, 41)]
KINDS = {"prediction": "R² of open-loop predictions", "return": "normalised return after fine-tuning"}
SCORES: dict[str, pl.DataType] = {
    "kind": pl.String(), "figure": pl.String(), "encoder": pl.String(), "algorithm": pl.String(), "threshold": pl.Float64(),
    "estimate": pl.Float64(), "low": pl.Float64(), "high": pl.Float64(), "runs": pl.Int64(), "tasks": pl.Int64(),
    "seeds": pl.Int64(),
}  # fmt: skip


def scored(results: Results, how: Resampling, best: float) -> pl.DataFrame:
    """Figures of scores of which some representation has at least two runs.

    Args:
        best: return of the best possible episode, for the normalised return.

    Returns:
        Columns of SCORES: kind (of `KINDS`), figure (iqm; profile: share of runs above `threshold`; improvement: probability that
        a run beats one of scratch), what it is of, and sizes; without rows where nothing is to tell.
    """
    sums = results.sums
    scores = {"prediction": explained(sums, how), "return": returns(results.online, sums, best, how)[1]}
    tables = []
    for kind, quantity in scores.items():
        runs = quantity.table("score").drop_nulls("score").with_columns(pl.col("score").clip(0, None))
        if runs.is_empty() or runs.group_by("encoder", "algorithm").len()["len"].max() == 1:
            continue
        made = {
            "iqm": aggregates(runs, how).filter(metric="iqm"),
            "profile": profiles(runs, THRESHOLDS, how),
            "improvement": improvements(runs, how).filter(y=SCRATCH).rename({"x": "encoder"}),
        }
        tables += [table.with_columns(kind=pl.lit(kind), figure=pl.lit(name)) for name, table in made.items()]
    if not tables:
        return pl.DataFrame(schema=SCORES)
    together = pl.concat([pl.DataFrame(schema=SCORES), *tables], how="diagonal_relaxed")
    return together.select(pl.col(name).cast(dtype) for name, dtype in SCORES.items())
