"""Figures about reward error: over horizons, under shifted looks, by behaviour, by size of the reward, and against scratch."""

import altair as alt
import polars as pl

from analysis.baselines import REPEAT_LAST
from analysis.charts import BASELINE, VISIBLE, Control, Figure, colour, horizon_name, panel, parameter, rows, shape, tooltip
from analysis.results import Results

_FAR = 2.5  # times the largest value, at which an axis of values with intervals ends
_QUALITIES = ["random", "medium", "replay", "expert"]
_LOSS_OF_FIT = -0.5  # R2 axes end here: below, a prediction is useless and how useless does not matter


def horizon_figure(results: Results, task: str, algorithm: str) -> Figure:
    """R2 and MAE against the open-loop horizon, under the default look."""
    own = _models(results.looks, results, task, algorithm).filter(pl.col("axis") == "default")
    baseline = results.looks.filter(pl.col("task") == task, pl.col("encoder") == REPEAT_LAST)
    near, far = own.filter(pl.col("horizon") <= results.short), own.filter(_is_far_step(results.short))
    columns = ["encoder", "horizon", "r2", "r2_low", "r2_high"]
    lowest = near.select(pl.min_horizontal(pl.col("r2").min(), pl.col("r2_low").min())).item()
    y = alt.Y("r2:Q", title="R²", scale=alt.Scale(domain=[max(_LOSS_OF_FIT, min(0.0, float(lowest or 0))), 1], clamp=True))
    x = alt.X(
        "horizon:Q", title="steps of open loop (0: filtering)",
        scale=alt.Scale(domain=[0, max(1, results.short)], nice=False), axis=alt.Axis(tickMinStep=1),
    )  # fmt: skip
    base = alt.Chart(rows(near, columns)).transform_filter(VISIBLE).encode(x=x, color=colour(results.encoders))
    band = base.mark_area(opacity=0.15).encode(y=alt.Y("r2_low:Q", title="R²"), y2="r2_high:Q")
    line = base.mark_line(point={"size": 28}).encode(y=y, tooltip=tooltip(near, columns))
    repeat = alt.Chart(rows(baseline.filter(pl.col("horizon") <= results.short), ["horizon", "r2"]))
    dashed = repeat.mark_line(strokeDash=[5, 4], color=BASELINE).encode(x=x, y=y, tooltip=["horizon:Q", "r2:Q"])
    r2_panel = panel("R², with intervals", band + dashed + line, 280)

    far_baseline = baseline.filter(_is_far_step(results.short))
    return Figure(
        "horizon", "How far ahead",
        "Reward predicted open loop, with the true actions but no further observations. R² rests on every start. Further out, "
        "ranges pool horizons that were predicted from a few starts of each episode only, so they are noisier.",
        [r2_panel, panel("mean absolute error, further out", _far(results, far, far_baseline), 280)],
        _numbers(pl.concat([own, baseline.filter(pl.col("axis") == "default")]), ["horizon", "horizon_to"], ["r2", "mae"]),
        results.encoders, dashed="repeat the last reward",
    )  # fmt: skip


def _is_far_step(short: int) -> pl.Expr:
    steps = [h for h in (0, 1, 2, 4, 8, 16, 32) if h < short]
    return pl.col("horizon").is_in([*steps, short]) | (pl.col("horizon") > short)


def _far(results: Results, own: pl.DataFrame, baseline: pl.DataFrame) -> alt.LayerChart:
    pooled = pl.col("horizon_to") > pl.col("horizon")
    label = (
        pl.when(pooled)
        .then(pl.format("{}–{}", "horizon", "horizon_to"))
        .otherwise(pl.col("horizon").cast(pl.String))
        .alias("steps")
    )
    own, baseline = own.with_columns(label), baseline.with_columns(label)
    order = own.sort("horizon")["steps"].unique(maintain_order=True).to_list()
    x = alt.X("steps:O", sort=order, title="steps of open loop", axis=alt.Axis(labelAngle=-40))
    columns = ["encoder", "steps", "mae", "mae_low", "mae_high"]
    base = alt.Chart(rows(own, columns)).transform_filter(VISIBLE).encode(x=x, color=colour(results.encoders))
    bars = base.mark_rule(opacity=0.5).encode(y=alt.Y("mae_low:Q", title="reward per step"), y2="mae_high:Q")
    points = base.mark_line(point={"size": 28}).encode(y="mae:Q", tooltip=tooltip(own, columns))
    dashed = alt.Chart(rows(baseline, ["steps", "mae"])).mark_line(strokeDash=[5, 4], color=BASELINE).encode(x=x, y="mae:Q")
    return bars + dashed + points


def shift_figure(results: Results, task: str, algorithm: str) -> Figure:
    """MAE, and its paired increase over the default look, against severity, one panel per axis of shift."""
    horizons = sorted({0, results.short})
    own = _models(results.looks, results, task, algorithm).filter(pl.col("horizon").is_in(horizons))
    trained = (pl.col("axis") != "default") & (pl.col("split") == "id")
    own = own.with_columns(axis=pl.when(trained).then(pl.format("{} (trained on)", "axis")).otherwise("axis"))
    axes = sorted(set(own["axis"]) - {"default"})
    control = Control("horizon", "Predicting", [(horizon_name(h), h) for h in horizons])
    panels = []
    for measure, what in (("mae", "mean absolute error"), ("mae_increase", "increase over the default look")):
        shown = own if measure == "mae" else own.filter(pl.col("axis") != "default")
        far = _FAR * pl.col(measure).abs().max()  # what is measured stays to be seen where few seeds make intervals endless
        high, low = pl.col(f"{measure}_high").max().clip(upper_bound=far), pl.col(f"{measure}_low").min().clip(lower_bound=-far)
        limit = shown.group_by("horizon").agg(high, low).sort("horizon")
        for axis in axes:
            of_axis = shown.filter(pl.col("axis").is_in([axis, "default"]))
            told = "paired " if measure != "mae" and axis != "size" else ""
            panels.append(panel(f"{axis}: {told}{what}", _severity(results, of_axis, measure, limit), 220, [parameter(control)]))
    return Figure(
        "shift", "Under shifted looks",
        "The same held-out episodes rendered under other looks: states, actions and rewards are equal, so the difference is the "
        "representation's alone. Severity 0 is the look that the models were trained on. Colours and sizes are the paper's "
        "axes (arXiv 2411.10175), all others ours. " + _unpaired(axes),
        panels, _numbers(own, ["axis", "severity", "horizon"], ["r2", "mae", "mae_increase", "mae_ratio"]),
        results.encoders, [control],
    )  # fmt: skip


def _unpaired(axes: list[str]) -> str:
    if "size" not in axes:
        return ""
    return "Size changes the physics: its looks have episodes of their own, so their increase is not paired."


def _severity(results: Results, own: pl.DataFrame, measure: str, limit: pl.DataFrame) -> alt.LayerChart:
    low, high = f"{measure}_low", f"{measure}_high"
    bounds = {h: (min(0.0, lo or 0.0), hi or 1.0) for h, hi, lo in limit.select("horizon", high, low).rows()}

    def by_horizon(which: int) -> dict[str, str]:
        first, *others = [(h, round(b[which], 5)) for h, b in sorted(bounds.items())]
        return {"expr": "".join(f"horizon == {h} ? {v} : " for h, v in others) + str(first[1])}

    scale = alt.Scale(domainMin=by_horizon(0), domainMax=by_horizon(1), nice=True)
    x = alt.X(
        "severity:Q",
        title="severity",
        scale=alt.Scale(domain=[0, 1]),
        axis=alt.Axis(values=[0, 0.25, 0.5, 0.75, 1], labelExpr="datum.value"),
    )
    ends = [pl.col("horizon").replace_strict({h: b[i] for h, b in bounds.items()}, return_dtype=pl.Float64) for i in (0, 1)]
    within = own.with_columns(pl.col(low, high).clip(*ends))  # a mark that is cut by Vega has an id that differs each time

    def drawn(values: pl.DataFrame) -> alt.Chart:
        data = rows(values, ["encoder", "severity", "horizon", measure, low, high])
        chosen = alt.Chart(data).transform_filter(VISIBLE).transform_filter("datum.horizon == horizon")
        return chosen.encode(x=x, color=colour(results.encoders))

    base = drawn(own)
    bars = (
        drawn(within)
        .mark_rule(opacity=0.6, strokeWidth=1.5)
        .encode(y=alt.Y(f"{low}:Q", title="reward per step", scale=scale), y2=f"{high}:Q")
    )
    line = base.mark_line().encode(y=f"{measure}:Q")
    points = base.mark_point(filled=True, size=45, opacity=1).encode(
        y=f"{measure}:Q",
        shape=shape(results.encoders),
        tooltip=tooltip(own, ["encoder", "severity", measure, low, high]),
    )
    return bars + line + points


def breakdown_figure(results: Results, task: str, algorithm: str) -> Figure:
    """Where the filtering error lies under the default look: by quality of the behaviour and by size of the reward."""
    quality = _models(results.quality, results, task, algorithm).filter(pl.col("axis") == "default")
    binned = _models(results.rewards, results, task, algorithm).with_columns(
        reward=(pl.col("reward_from") + pl.col("reward_to")) / 2
    )
    x = alt.X("quality:O", sort=_QUALITIES, title=None, axis=alt.Axis(labelAngle=0))
    columns = ["encoder", "quality", "mae", "mae_low", "mae_high", "r2", "n"]
    offset = alt.XOffset("encoder:N", scale=alt.Scale(domain=results.encoders, paddingInner=0.4, paddingOuter=0.6))
    base = alt.Chart(rows(quality, columns)).transform_filter(VISIBLE).encode(x=x, xOffset=offset, color=colour(results.encoders))
    bars = base.mark_rule(strokeWidth=1.5, opacity=0.6).encode(y=alt.Y("mae_low:Q", title="reward per step"), y2="mae_high:Q")
    points = base.mark_point(filled=True, size=55, opacity=1).encode(
        y="mae:Q", shape=shape(results.encoders), tooltip=tooltip(quality, columns)
    )
    panels = [panel("mean absolute error, by behaviour", bars + points)]
    value = alt.X("reward:Q", title="true reward of the step (bin's centre)")
    for measure, title in (
        ("mae", "mean absolute error, by size of the reward"),
        ("bias", "bias (predicted − true), by size of the reward"),
    ):
        columns = ["encoder", "reward", measure, f"{measure}_low", f"{measure}_high", "n"]
        base = alt.Chart(rows(binned, columns)).transform_filter(VISIBLE).encode(x=value, color=colour(results.encoders))
        band = base.mark_area(opacity=0.12).encode(y=alt.Y(f"{measure}_low:Q", title="reward per step"), y2=f"{measure}_high:Q")
        line = base.mark_line(point={"size": 28}).encode(y=f"{measure}:Q", tooltip=tooltip(binned, columns))
        panels.append(panel(title, band + line))
    table = pl.concat([_numbers(quality, ["quality"], ["r2", "mae", "bias"]),
                       _numbers(binned, ["reward_from", "reward_to"], ["mae", "bias"])], how="diagonal")  # fmt: skip
    return Figure(
        "breakdown", "Where the error lies",
        "Filtering error under the default look. Intervals within one behaviour or bin rest on few episodes.",
        panels, table, results.encoders,
    )  # fmt: skip


def contrast_figure(results: Results, task: str, algorithm: str) -> Figure:
    """Each representation's error minus that of `scratch`, on the same episodes."""
    own = _models(results.contrasts, results, task, algorithm)
    x = alt.X("difference_low:Q", title="difference in reward per step")
    y = alt.Y("encoder:N", sort=results.encoders, title=None)
    columns = ["encoder", "difference", "difference_low", "difference_high", "mae", "reference_mae"]
    zero = alt.Chart(alt.InlineData(values=[{"x": 0}])).mark_rule(strokeDash=[5, 4], color=BASELINE).encode(x="x:Q")
    panels = []
    for (shifted, horizon), part in sorted(own.partition_by("shifted", "horizon", as_dict=True).items()):
        base = alt.Chart(rows(part, columns)).transform_filter(VISIBLE).encode(y=y, color=colour(results.encoders))
        bars = base.mark_rule(strokeWidth=2).encode(x=x, x2="difference_high:Q")
        points = base.mark_point(filled=True, size=70, opacity=1).encode(
            x="difference:Q", shape=shape(results.encoders), tooltip=tooltip(part, columns)
        )
        look = "all shifted looks" if shifted else "default look"
        panels.append(
            panel(f"{look}, {horizon_name(int(horizon))}", zero + bars + points, 40 + 26 * len(part["encoder"].unique()))
        )
    return Figure(
        "contrast", "Against learning from scratch",
        "Mean absolute error minus that of scratch, a CNN trained end to end, with the interval of the paired difference. Left "
        "of zero: a smaller error than scratch's. An interval that covers zero: these episodes do not tell the two apart.",
        panels, _numbers(own, ["shifted", "horizon"], ["mae", "reference_mae", "difference"]),
        [e for e in results.encoders if e in set(own["encoder"])], panel_width=440,
    )  # fmt: skip


def _models(table: pl.DataFrame, results: Results, task: str, algorithm: str) -> pl.DataFrame:
    """One (task, algorithm)'s rows, representations in the page's order."""
    chosen = table.filter(pl.col("task") == task, pl.col("algorithm") == algorithm)
    place = pl.col("encoder").replace_strict(results.encoders, list(range(len(results.encoders))), return_dtype=pl.Int32)
    return chosen.sort(place, maintain_order=True)


def _numbers(table: pl.DataFrame, keys: list[str], figures: list[str]) -> pl.DataFrame:
    """The columns a reader wants to see: keys, then each figure with its interval, where it has one."""
    columns = [c for f in figures for c in (f, f"{f}_low", f"{f}_high") if c in table.columns]
    count = [c for c in ("n",) if c in table.columns]
    return table.select("encoder", *keys, *columns, *count)
