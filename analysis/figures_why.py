"""Figures about a representation itself, without a world model: what can be read from it, what moves it, what it looks like."""

import altair as alt
import polars as pl

from analysis.charts import VISIBLE, Figure, colour, dots_by_axis, level, panel, rows, shape, strongest, tooltip
from analysis.evidence import Evidence, of_cell

_WORST = 10.0  # normalised errors end here on the page: how useless a useless reading is does not matter


def probe_figure(evidence: Evidence, encoders: list[str], task: str) -> Figure | None:
    """Reward and physics state read straight from the representation, under every look; None where it was not probed."""
    own = of_cell(evidence.probes, encoders, task)
    if own.is_empty():
        return None
    shown = strongest(own)
    panels = []
    axes = ["default", *sorted(set(shown["axis"]) - {"default"})]
    for target, method in (("reward", "ridge"), ("reward", "knn"), ("state", "ridge"), ("state", "knn")):
        part = shown.filter(pl.col("target") == target, pl.col("method") == method)
        if part.is_empty():
            continue
        scale = alt.Scale(type="symlog", constant=0.1, domain=[0, _WORST], clamp=True)
        x = alt.X("axis:N", sort=axes, title=None, axis=alt.Axis(labelAngle=0))
        low, value = alt.Y("low:Q", title="normalised error", scale=scale), alt.Y("value:Q", scale=scale)
        dots = dots_by_axis(part, encoders, x, low, upper=value, behind=level(1))
        how = "linear (ridge)" if method == "ridge" else "nearest neighbours"
        panels.append(panel(f"{target}, {how}", dots, 240))
    return Figure(
        "probes", "What can be read from the representation",
        "Fitted on training frames of the default look, measured on held-out ones, under the default look and the strongest of "
        "each axis. In units of the target's variance: 0 is perfect, 1 is guessing the mean. A single frame shows no velocity. "
        "Of scratch, whose network is learned with the model, the frame itself is probed, averaged to 16 × 16 pixels. "
        f"Errors above {_WORST:g} are drawn there; the numbers have them.",
        panels, own.select("encoder", "target", "method", "axis", "severity", "value", "low", "high"), encoders,
        dashed="guessing the mean", panel_width=400,
    )  # fmt: skip


def nuisance_figure(evidence: Evidence, encoders: list[str], task: str) -> Figure | None:
    """How far a look moves a representation, beside how far another state does; None where it was not measured."""
    own = of_cell(evidence.properties, encoders, task)
    if own.is_empty():
        return None
    ratio = own.filter(pl.col("property") == "signal_to_nuisance", pl.col("value").is_finite(), pl.col("value") > 0)
    keys = ["encoder", "axis", "severity"]
    ratio = ratio.group_by(keys, maintain_order=True).agg(pl.col("value").mean())
    panels = []
    severities = alt.Axis(values=[0, 0.25, 0.5, 0.75, 1], labelExpr="datum.value")
    for axis in sorted(set(ratio["axis"])):
        part = ratio.filter(pl.col("axis") == axis).sort("severity", maintain_order=True)
        base = alt.Chart(rows(part, [*keys, "value"])).transform_filter(VISIBLE).encode(
            x=alt.X("severity:Q", scale=alt.Scale(domain=[0, 1]), axis=severities),
            y=alt.Y("value:Q", title="signal to nuisance", scale=alt.Scale(type="log")), color=colour(encoders),
        )  # fmt: skip
        points = base.mark_point(filled=True, size=45, opacity=1).encode(
            shape=shape(encoders), tooltip=tooltip(part, [*keys, "value"])
        )
        panels.append(panel(axis, level(1) + base.mark_line() + points, 220))
    if not panels:
        return None
    return Figure(
        "nuisance", "What moves the representation: the state, or the look?",
        "Mean squared distance between two states under the default look, over that between the same state under the default "
        "and the shifted look. Below 1 the look moves the representation more than another state does. A representation that a "
        "look does not change at all (state) has no value.",
        panels, own.select("encoder", "property", "axis", "severity", "value"), encoders, dashed="as much as another state",
    )  # fmt: skip


def manifold_figure(evidence: Evidence, encoders: list[str], task: str) -> Figure | None:
    """A two-dimensional picture of each representation, coloured by reward; None where it was not made."""
    own = of_cell(evidence.manifold, encoders, task)
    if own.is_empty():
        return None
    panels = []
    for encoder in [e for e in encoders if e in set(own["encoder"])]:
        part = own.filter(pl.col("encoder") == encoder)
        hue = alt.Color("reward:Q", scale=alt.Scale(scheme="viridis"), legend=alt.Legend(orient="right", gradientLength=120))
        axis = alt.Axis(labels=False, ticks=False, grid=False, domain=False)
        scatter = alt.Chart(rows(part, ["x", "y", "reward", "episode", "t"])).mark_point(filled=True, size=9, opacity=0.7).encode(
            x=alt.X("x:Q", title=None, axis=axis, scale=alt.Scale(zero=False)),
            y=alt.Y("y:Q", title=None, axis=axis, scale=alt.Scale(zero=False)),
            color=hue, tooltip=["reward:Q", "episode:Q", "t:Q"],
        )  # fmt: skip
        panels.append(panel(encoder, scatter, 260))
    return Figure(
        "manifold", "Does the representation tell high reward from low?",
        "Held-out frames of the default look in two dimensions (UMAP, McInnes et al. 2018), coloured by reward. Distances "
        "between clusters mean little; whether colours are sorted or mixed does.",
        panels, own.group_by("encoder", maintain_order=True).agg(pl.len().alias("frames"), pl.col("reward").mean()), [],
        panel_width=240,
    )  # fmt: skip
