"""Figure of scores over all tasks and seeds: IQM, performance profile, probability of improvement over scratch."""

import altair as alt
import polars as pl

from analysis.charts import BASELINE, VISIBLE, Figure, Panel, colour, dots_by_encoder, has_intervals, panel, rows, tooltip
from analysis.evidence import Evidence
from analysis.scored import KINDS

_DOTS = {"iqm": "interquartile mean", "improvement": "probability that a run beats one of scratch"}


def scores_figure(evidence: Evidence, encoders: list[str]) -> Figure | None:
    """Panels for each algorithm and kind of score; None where no representation has two runs."""
    own = evidence.scores
    if own.is_empty():
        return None
    panels = []
    for algorithm, kind in own.select("algorithm", "kind").unique().sort("algorithm", "kind").rows():
        part = own.filter(pl.col("algorithm") == algorithm, pl.col("kind") == kind)
        for figure, what in _DOTS.items():
            shown = part.filter(pl.col("figure") == figure)
            if not shown.is_empty():
                panels.append(_dots(f"{algorithm}, {KINDS[kind]}: {what}", shown, encoders, figure == "improvement"))
        panels.append(_profile(f"{algorithm}, {KINDS[kind]}: share of runs above", part.filter(figure="profile"), encoders))
    return Figure(
        "scores", "Over all tasks and seeds",
        "A run is one seed on one task (Agarwal et al. 2021, arXiv 2108.13264). The interquartile mean leaves out the lowest and "
        "the highest quarter; a profile shows all runs; the probability of improvement says how often, not by how much. Scores "
        "below 0 count as 0. Intervals speak of other seeds on these tasks; on fewer than three seeds nothing is decided.",
        panels, own.filter(pl.col("figure") != "profile").drop("threshold"), encoders, panel_width=400,
    )  # fmt: skip


def _dots(title: str, table: pl.DataFrame, encoders: list[str], halves: bool) -> Panel:
    even = alt.Chart(alt.InlineData(values=[{"x": 0.5}])).mark_rule(strokeDash=[5, 4], color=BASELINE).encode(x="x:Q")
    columns = ["encoder", "estimate", "low", "high", "runs", "seeds"]
    dots = dots_by_encoder(table, encoders, "estimate", columns, even if halves else None)
    return panel(title, dots, 40 + 26 * table["encoder"].n_unique())


def _profile(title: str, table: pl.DataFrame, encoders: list[str]) -> Panel:
    columns = ["encoder", "threshold", "estimate", "low", "high"]
    base = alt.Chart(rows(table, columns)).transform_filter(VISIBLE).encode(
        x=alt.X("threshold:Q", title="score"), color=colour(encoders)
    )  # fmt: skip
    share, low = (alt.Y(field, title="share of runs", scale=alt.Scale(domain=[0, 1])) for field in ("estimate:Q", "low:Q"))
    line = base.mark_line(interpolate="step-after").encode(y=share, tooltip=tooltip(table, columns))
    if not has_intervals(table):
        return panel(title, line, 220)
    band = base.mark_area(opacity=0.12, interpolate="step-after").encode(y=low, y2="high:Q")
    return panel(title, band + line, 220)
