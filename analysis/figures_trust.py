"""Figures about trust in a prediction: whether its mean and its spread say what is observed."""

import altair as alt
import polars as pl

from analysis.charts import BASELINE, VISIBLE, Control, Figure, colour, horizon_name, panel, parameter, rows, shape, tooltip
from analysis.evidence import Evidence, of_cell


def calibration_figure(evidence: Evidence, encoders: list[str], task: str, algorithm: str) -> Figure | None:
    """Observed against predicted mean reward, and observed against nominal coverage; None where neither was measured."""
    reliability = of_cell(evidence.reliability, encoders, task, algorithm)
    if not reliability.is_empty():
        reliability = reliability.filter(pl.col("axis") == "default")
    coverage = of_cell(evidence.coverage, encoders, task, algorithm)
    panels, tables = [], []
    if not reliability.is_empty():
        panels.append(panel("mean reward, by size of the prediction (filtering)", _reliability(reliability, encoders), 280))
        tables.append(reliability.select("encoder", "predicted", "observed", "low", "high", "n"))
    controls = []
    if not coverage.is_empty():
        looks = coverage.select("axis", "severity", "horizon").unique().sort("horizon", "severity", "axis").rows()
        options = [(_where(*look), _key(*look)) for look in looks]
        control = Control("asked", "Coverage", options)
        controls.append(control)
        inside = _coverage(coverage, encoders, control)
        panels.append(panel("rewards inside the predicted interval", inside, 280, [parameter(control)]))
        tables.append(coverage.select("encoder", "axis", "severity", "horizon", "level", "value", "low", "high"))
    if not panels:
        return None
    return Figure(
        "calibration", "Can predictions be taken at their word?",
        "Left: predictions are binned by size; on the dashed line the mean of what was observed is what was predicted. Right: "
        "how often the true reward lies in the central interval of the predicted distribution that should hold it as often as "
        "the axis says. Below the line: overconfident.",
        panels, pl.concat(tables, how="diagonal"), encoders, controls, dashed="what a calibrated model shows",
    )  # fmt: skip


def _reliability(table: pl.DataFrame, encoders: list[str]) -> alt.LayerChart:
    low, high = float(table["predicted"].min()), float(table["predicted"].max())  # type: ignore[arg-type]
    diagonal = _diagonal(low, high, "predicted", "observed")
    columns = ["encoder", "predicted", "observed", "low", "high", "n"]
    base = alt.Chart(rows(table, columns)).transform_filter(VISIBLE).encode(
        x=alt.X("predicted:Q", title="predicted reward"), color=colour(encoders)
    )  # fmt: skip
    bars = base.mark_rule(opacity=0.5).encode(y=alt.Y("low:Q", title="observed reward"), y2="high:Q")
    line = base.mark_line(strokeWidth=1.5).encode(y="observed:Q")
    points = base.mark_point(filled=True, size=40, opacity=1).encode(
        y="observed:Q", shape=shape(encoders), tooltip=tooltip(table, columns)
    )
    return diagonal + bars + line + points


def _coverage(table: pl.DataFrame, encoders: list[str], control: Control) -> alt.LayerChart:
    diagonal = _diagonal(0.45, 1.0, "level", "value")
    named = [_key(*look) for look in table.select("axis", "severity", "horizon").rows()]
    keyed = table.with_columns(pl.Series("look", named))
    columns = ["encoder", "look", "level", "value", "low", "high"]
    base = alt.Chart(rows(keyed, columns)).transform_filter(VISIBLE).transform_filter(f"datum.look == {control.signal}")
    base = base.encode(
        x=alt.X("level:Q", title="nominal", scale=alt.Scale(domain=[0.45, 1])), color=colour(encoders)
    )  # fmt: skip
    bars = base.mark_rule(opacity=0.5).encode(
        y=alt.Y("low:Q", title="observed", scale=alt.Scale(domain=[0, 1], clamp=True)), y2="high:Q"
    )
    line = base.mark_line(strokeWidth=1.5).encode(y="value:Q")
    points = base.mark_point(filled=True, size=40, opacity=1).encode(
        y="value:Q", shape=shape(encoders), tooltip=tooltip(keyed, ["encoder", "level", "value", "low", "high"])
    )
    return diagonal + bars + line + points


def _diagonal(low: float, high: float, x: str, y: str) -> alt.Chart:
    ends = alt.InlineData(values=[{x: round(low, 4), y: round(low, 4)}, {x: round(high, 4), y: round(high, 4)}])
    return alt.Chart(ends).mark_line(strokeDash=[5, 4], color=BASELINE).encode(x=f"{x}:Q", y=f"{y}:Q")


def _key(axis: str, severity: float, horizon: int) -> str:
    return f"{axis}-{severity:g}-{horizon}"


def _where(axis: str, severity: float, horizon: int) -> str:
    look = "default look" if axis == "default" else f"{axis} {severity:g}"
    return f"{look}, {horizon_name(horizon)}"
