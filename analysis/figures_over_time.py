"""Figures along time: learning curves, predicted against true reward."""

import altair as alt
import polars as pl

from analysis.charts import INK, VISIBLE, Control, Figure, colour, panel, rows
from analysis.results import Results

_CURVE_POINTS = 160  # drawn per learning curve
_TRACE_POINTS = 260  # drawn per predicted reward
_FIRST = ("reward_loss", "loss", "prediction_loss")  # metrics in order of interest, the others after them
_QUALITIES = ("random", "medium", "replay", "expert")


def learning_figure(results: Results, task: str, algorithm: str) -> Figure | None:
    """One panel per training metric that every representation logged; None without learning curves."""
    own = results.learning.filter(pl.col("task") == task, pl.col("algorithm") == algorithm)
    if own.is_empty():
        return None
    keys = ["metric", "encoder", "update"]
    mean = own.sort(*keys, "seed").group_by(keys, maintain_order=True).agg(pl.col("value").mean())
    updates = mean["update"].unique().sort()
    drawn = mean.filter(pl.col("update").is_in(updates.gather_every(max(1, len(updates) // _CURVE_POINTS)).to_list()))
    metrics = sorted(mean["metric"].unique(), key=lambda name: (_FIRST.index(name) if name in _FIRST else len(_FIRST), name))
    panels = []
    for metric in metrics:
        chosen = drawn.filter(pl.col("metric") == metric, pl.col("value").is_finite())
        positive = not chosen.is_empty() and chosen["value"].min() > 0  # type: ignore[operator]
        base = alt.Chart(rows(chosen, ["encoder", "update", "value"])).transform_filter(VISIBLE)
        scale = alt.Scale(type="log", nice=False) if positive else alt.Scale(zero=False)
        line = base.mark_line(strokeWidth=1.5).encode(
            x=alt.X("update:Q", title="update"), y=alt.Y("value:Q", title=None, scale=scale),
            color=colour(results.encoders), tooltip=["encoder:N", "update:Q", "value:Q"],
        )  # fmt: skip
        panels.append(panel(metric.replace("_", " "), line, 180))
    last = mean.group_by("encoder", "metric", maintain_order=True).agg(pl.col("update").last(), pl.col("value").last())
    return Figure(
        "learning", "Learning offline",
        "Training metrics of the world model, on training episodes, averaged over seeds. Losses of different inputs (states, "
        "embeddings, pixels) are not comparable with each other; the reward loss is. The table gives each curve's end.",
        panels, last.select("encoder", "metric", "update", "value").sort("metric", "encoder"), results.encoders,
    )  # fmt: skip


def trace_figure(results: Results, task: str, algorithm: str) -> Figure | None:
    """True, filtered and open-loop reward of one held-out episode per behaviour quality."""
    own = results.traces.filter(pl.col("task") == task, pl.col("algorithm") == algorithm)
    if own.is_empty():
        return None
    looks = own.select("axis", "variant", "severity").unique().sort("severity", "axis").rows()
    encoder = Control("representation", "Representation", [(name, name) for name in results.encoders])
    look = Control(
        "look", "Look", [("default" if axis == "default" else f"{axis}, severity {s:g}", variant) for axis, variant, s in looks]
    )
    stride = max(1, int(own["t"].max()) // _TRACE_POINTS)  # type: ignore[arg-type]
    drawn = own.filter(pl.col("t") % stride == 0)
    params = [alt.param(name=c.signal, value=c.options[0][1]) for c in (encoder, look)]
    panels = []
    named = set(own["quality"])  # imported data may use other words
    for quality in [*(q for q in _QUALITIES if q in named), *sorted(named - set(_QUALITIES))]:
        part = drawn.filter(pl.col("quality") == quality)
        one = part.filter(pl.col("variant") == part["variant"][0], pl.col("encoder") == part["encoder"][0])
        x = alt.X("t:Q", title="step")
        truth = (
            alt.Chart(rows(one, ["t", "reward"]))
            .mark_line(color=INK, strokeWidth=1.2)
            .encode(x=x, y=alt.Y("reward:Q", title="reward"))
        )
        columns = ["encoder", "variant", "t", "filtering", "open_loop"]
        base = alt.Chart(rows(part, columns)).transform_filter("datum.encoder == representation && datum.variant == look")
        kind = {"color": colour(results.encoders), "x": x}
        filtered = base.mark_line(strokeWidth=2, opacity=0.85).encode(
            y="filtering:Q", tooltip=["t:Q", "filtering:Q", "open_loop:Q"], **kind
        )
        ahead = base.mark_line(strokeWidth=2, strokeDash=[2, 3]).encode(y="open_loop:Q", **kind)
        panels.append(panel(f"{quality} (episode {part['episode'][0]})", filtered + ahead + truth, 200, params))
    table = own.filter(pl.col("axis") == "default").pivot(
        "encoder", index=["quality", "episode", "t", "reward"], values="filtering", sort_columns=True
    )
    return Figure(
        "traces", "Predicted and true reward over time",
        "Held-out episodes. Black: true reward. Coloured line: filtering, predicted with the observation of the same step "
        "(tdmpc2, whose reward is a transition's: of the step before). "
        "Coloured dots: open loop from one step of the episode to its end, with the true actions alone. The table shows "
        "filtering under the default look.",
        panels, table, [], [encoder, look], panel_width=440,
    )  # fmt: skip
