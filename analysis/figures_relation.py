"""Reward error beside return: does a representation that predicts rewards better also act better?"""

import altair as alt
import polars as pl

from analysis.charts import VISIBLE, Figure, colour, horizon_name, panel, rows, shape, tooltip
from analysis.online import ends
from analysis.results import Results

_FEWEST = 3


def relation_figure(results: Results) -> Figure | None:
    """Return after fine-tuning against reward error, a point per representation, task and algorithm; None of fewer than three."""
    cell = ["encoder", "task", "algorithm"]
    last = ends(results.online).select(*cell, pl.col("last").alias("return"))
    errors = results.held_out.filter(pl.col("axis") == "default")
    panels, tables = [], []
    for horizon in sorted({0, results.short}):
        at = errors.filter(pl.col("horizon") == horizon).select(*cell, "r2")
        points = last.join(at, on=cell).drop_nulls().sort(cell)
        if len(points) < _FEWEST:
            continue
        base = alt.Chart(rows(points, [*cell, "return", "r2"])).transform_filter(VISIBLE)
        dots = base.mark_point(filled=True, size=70, opacity=1).encode(
            x=alt.X("r2:Q", title="R² of predicted reward", scale=alt.Scale(zero=False)),
            y=alt.Y("return:Q", title="return after fine-tuning"), color=colour(results.encoders),
            shape=shape(results.encoders), tooltip=tooltip(points, [*cell, "return", "r2"]),
        )  # fmt: skip
        panels.append(panel(f"return against R², {horizon_name(horizon)}", dots, 280))
        tables.append(points.with_columns(pl.lit(horizon).alias("horizon")))
    if not panels:
        return None
    return Figure(
        "relation", "Does better prediction mean better control?",
        "One point per representation, task and algorithm that was fine-tuned. The claims say what the correlation is worth.",
        panels, pl.concat(tables), [e for e in results.encoders if e in set(last["encoder"])],
    )  # fmt: skip
