"""Representations of several experiments beside each other: error under the default look, and how much shifts multiply it.

    python -m analysis.examples.compare_encoders workspace exp-vc1 HEAD~1 ../other/project

Rows that experiments share count once (`analysis/shared.py`); what could not be read is printed first.
"""

import sys

import polars as pl

from analysis.experiments import scan_experiments
from analysis.shared import share

found = scan_experiments(sys.argv[1:] or ["workspace"])
shared = share([found])
print("\n".join([*found.missing, *shared.notes]))
rows = shared.rows("reward_error").filter(horizon=0).with_columns(error=(pl.col("reward_pred") - pl.col("reward")).abs())
default, shifted = pl.col("axis") == "default", (pl.col("axis") != "default") & (pl.col("split") == "ood")
mae = rows.group_by("encoder", "task", "algorithm").agg(
    pl.col("experiment").first(), mae=pl.col("error").filter(default).mean(), shifted=pl.col("error").filter(shifted).mean()
)
print(mae.with_columns(ratio=pl.col("shifted") / pl.col("mae")).sort("task", "algorithm", "mae").collect(engine="streaming"))
