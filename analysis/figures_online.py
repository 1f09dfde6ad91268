"""Figures of online learning: returns along agent steps, and under shifted looks."""

from collections.abc import Mapping

import altair as alt
import polars as pl

from analysis.charts import VISIBLE, Figure, colour, panel, reference_line, rows, shape, tooltip
from analysis.online import NOTHING_ARM, curves, ends, under_looks
from analysis.results import Results


def online_figure(results: Results, task: str, algorithm: str, expert_return: Mapping[str, float]) -> Figure | None:
    """Return during online fine-tuning, beside the offline-only policy's and the expert's; None where none was fine-tuned."""
    mine = (pl.col("task") == task) & (pl.col("algorithm") == algorithm)
    own = curves(results.online).filter(mine)
    if own.is_empty():
        return None
    last = ends(results.online).filter(mine)
    x = alt.X("env_steps:Q", title="agent steps online")
    y = alt.Y("return:Q", title="episode return")
    columns = ["encoder", "env_steps", "return", "low", "high"]
    base = alt.Chart(rows(own, columns)).transform_filter(VISIBLE).encode(x=x, color=colour(results.encoders))
    band = base.mark_area(opacity=0.15).encode(y=alt.Y("low:Q", title="episode return"), y2="high:Q")
    line = base.mark_line().encode(y=y)
    points = base.mark_point(filled=True, size=45, opacity=1).encode(
        y=y, shape=shape(results.encoders), tooltip=tooltip(own, columns)
    )
    control = last.filter(pl.col("offline_only").is_not_null())
    offline = alt.Chart(rows(control, ["encoder", "offline_only"])).transform_filter(VISIBLE)
    flat = offline.mark_rule(strokeDash=[2, 3], strokeWidth=2).encode(y="offline_only:Q", color=colour(results.encoders))
    chart = band + flat + line + points
    nothing = curves(results.online, NOTHING_ARM).filter(mine)
    beside = ""
    if not nothing.is_empty():
        beside = " Dashed along the steps: an agent that began with neither model nor data."
        beginning = alt.Chart(rows(nothing, ["encoder", "env_steps", "return"])).transform_filter(VISIBLE)
        chart = chart + beginning.mark_line(strokeDash=[6, 3], opacity=0.8).encode(x=x, y=y, color=colour(results.encoders))
    if task in expert_return:
        chart = chart + reference_line(expert_return[task], "expert")
    drawn = [e for e in results.encoders if e in set(own["encoder"])]
    return Figure(
        "online", "Fine-tuning online",
        "Mean return of the evaluation episodes (band: ± one standard deviation of their returns). At step 0: the policy learned "
        "in imagination from offline data. Dotted: as many updates of model and policy, from offline data alone." + beside
        + " Level and grey: the expert whose episodes are part of the data.",
        [panel("return", chart, 320)], last.select(pl.exclude("algorithm", "task")), drawn,
    )  # fmt: skip


def online_looks_figure(results: Results, task: str, algorithm: str) -> Figure | None:
    """Return of the fine-tuned agents under shifted looks, a panel per axis; None where none was evaluated under any."""
    own = under_looks(results.online).filter(pl.col("task") == task, pl.col("algorithm") == algorithm)
    if own.is_empty():
        return None
    columns = ["encoder", "severity", "return", "low", "high"]
    panels = []
    for axis in sorted(own["axis"].unique()):
        chosen = own.filter(pl.col("axis") == axis)
        base = alt.Chart(rows(chosen, columns)).transform_filter(VISIBLE)
        base = base.encode(x=alt.X("severity:Q", title="severity"), color=colour(results.encoders))
        y = alt.Y("return:Q", title="episode return", scale=alt.Scale(zero=True))
        band = base.mark_area(opacity=0.12).encode(y=alt.Y("low:Q", title="episode return"), y2="high:Q")
        points = base.mark_point(filled=True, size=45, opacity=1).encode(
            y=y, shape=shape(results.encoders), tooltip=tooltip(chosen, columns)
        )
        panels.append(panel(axis, band + base.mark_line().encode(y=y) + points, 220))
    return Figure(
        "online_looks", "Acting under shifted looks",
        "Mean return of the fine-tuned agents' last evaluation, by the look's severity (band: ± one standard deviation of its "
        "few episodes). They learned under the default look alone. An agent that reads the physics state is evaluated only where "
        "the physics changes (axis size).",
        panels, own.drop("algorithm", "task"), [e for e in results.encoders if e in set(own["encoder"])],
    )  # fmt: skip
