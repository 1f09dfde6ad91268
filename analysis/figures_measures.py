"""Figure of further measures: ranking, rare events, errors added up, luck in training."""

import altair as alt
import polars as pl

from analysis.charts import Control, Figure, dots_by_axis, horizon_name, panel, parameter, strongest
from analysis.evidence import Evidence, of_cell

# Measure -> its panel's title; those of `accumulated_` others are found by their beginning.
_TITLES = {
    "spearman": "rank correlation with the true reward",
    "event_precision": "precision: high rewards among those predicted",
    "event_recall": "recall: those predicted among high rewards",
    "seed_bias2": "squared error that all seeds share",
    "seed_variance": "variance between seeds",
}
_ADDED_UP = "accumulated_"


def measures_figure(evidence: Evidence, encoders: list[str], task: str, algorithm: str) -> Figure | None:
    """One panel per measure, a dot per representation, by look; None where none was measured."""
    own = of_cell(evidence.measures, encoders, task, algorithm)
    if own.is_empty():
        return None
    own = strongest(own).filter(pl.col("value").is_not_null())
    horizons = sorted(own.filter(pl.col("measure") == "spearman")["horizon"].unique())
    control = Control("horizon", "Predicting", [(horizon_name(h), h) for h in horizons])
    panels = []
    for measure, title in _TITLES.items():
        part = own.filter(pl.col("measure") == measure)
        if not part.is_empty():
            panels.append(panel(title, _dots(part, encoders, "datum.horizon == horizon"), 220, [parameter(control)]))
    for measure in sorted(m for m in own["measure"].unique() if m.startswith(_ADDED_UP)):
        part, steps = own.filter(pl.col("measure") == measure), measure.removeprefix(_ADDED_UP)
        far = "to the episode's end" if steps == "whole" else f"over {steps} steps"
        panels.append(panel(f"absolute error added up {far}, open loop", _dots(part, encoders), 220))
    return Figure(
        "measures", "Other ways to be wrong",
        "Whether predictions order states by their reward (Spearman); whether they find rewards above half of the task's "
        "highest; errors added up over an imagined stretch, as the paper measures them; and, with several seeds, how much of the "
        "squared error all models share and how much is luck in training. Default look, and the strongest of each axis.",
        panels, own.select("encoder", "measure", "axis", "severity", "horizon", "value", "low", "high", "n"), encoders,
        [control] if horizons else [], panel_width=300,
    )  # fmt: skip


def _dots(table: pl.DataFrame, encoders: list[str], where: str = "true") -> alt.LayerChart:
    axes = ["default", *sorted(set(table["axis"]) - {"default"})]
    x = alt.X("axis:N", sort=axes, title=None, axis=alt.Axis(labelAngle=0))
    return dots_by_axis(table, encoders, x, alt.Y("low:Q", title=None), where)
