"""The pieces that every figure is made of: colours, theme, and small multiples in Vega-Lite that share two signals.

Each panel is a chart of its own that fills its container, so a page can lay panels out for any width. Panels know the
signals `hidden` (representations switched off by the reader) and `focus` (the one pointed at, in any chart or legend), and some
know further ones that a control of the page sets.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import reduce
from operator import add
from typing import Any

import altair as alt
import polars as pl

# Okabe and Ito's palette, distinguishable with any colour vision; a shape besides, for print in black and white.
_STYLE = {
    "state": ("#0072B2", "circle"),
    "scratch": ("#D55E00", "square"),
    "random_cnn": ("#CC79A7", "triangle-up"),
    "autoencoder": ("#009E73", "diamond"),
}
_OTHERS = (("#E69F00", "triangle-down"), ("#56B4E9", "cross"), ("#F0E442", "triangle-right"))
BASELINE = "#6b7280"
INK = "#1f2937"
_FAINT = "#dfe3e8"
_FONT = "Helvetica Neue, Helvetica, Arial, sans-serif"
_DIGITS = 5


@dataclass(frozen=True)
class Control:
    """A choice of the reader's: sets `signal` in every panel of the figure."""

    signal: str
    label: str
    options: list[tuple[str, Any]]  # (shown, value); the first is the default


@dataclass(frozen=True)
class Panel:
    """One chart of a figure: its heading and its Vega-Lite specification."""

    title: str
    spec: dict[str, Any]


@dataclass(frozen=True)
class Figure:
    """A figure as the page shows it.

    Attributes:
        name: unique; also the name of its files.
        encoders: representations drawn, for the legend.
        table: the numbers behind it, as the reader may open them.
        dashed: what a grey dashed line stands for, where there is one.
        panel_width: pixels that a panel should have at least, where the page is wide enough.
    """

    name: str
    title: str
    caption: str
    panels: list[Panel]
    table: pl.DataFrame
    encoders: list[str]
    controls: list[Control] = field(default_factory=list)
    dashed: str = ""
    panel_width: int = 320


def style(encoders: Sequence[str]) -> dict[str, tuple[str, str]]:
    """Colour and shape of each representation: always the same for the references."""
    others = iter(_OTHERS * len(encoders))
    return {name: _STYLE.get(name) or next(others) for name in encoders}


def colour(encoders: Sequence[str]) -> Any:
    """Representations as colours, all but one grey while the reader points at it; the legend is the page's own."""
    chosen = style(encoders)
    scale = alt.Scale(domain=list(chosen), range=[c for c, _ in chosen.values()])
    return alt.when(_ELSEWHERE).then(alt.value(_FAINT)).otherwise(alt.Color("encoder:N", legend=None, scale=scale))


def shape(encoders: Sequence[str]) -> alt.Shape:
    """The encoding of representations as shapes."""
    chosen = style(encoders)
    return alt.Shape("encoder:N", legend=None, scale=alt.Scale(domain=list(chosen), range=[s for _, s in chosen.values()]))


def rows(table: pl.DataFrame, columns: Sequence[str]) -> alt.InlineData:
    """The chosen columns as inline data, floats to five significant digits."""
    floats = [name for name in columns if table.schema[name].is_float()]
    short = table.select(columns).with_columns(pl.col(floats).round_sig_figs(_DIGITS).cast(pl.Float64))
    records = [{name: _plain(value) for name, value in row.items()} for row in short.iter_rows(named=True)]
    return alt.InlineData(values=records)


def _plain(value: Any) -> Any:
    return float(f"{value:.{_DIGITS}g}") if isinstance(value, float) else value


def tooltip(table: pl.DataFrame, columns: Sequence[str]) -> list[alt.Tooltip]:
    """What a panel shows of a point under the pointer."""
    return [
        alt.Tooltip(
            field=name, type="quantitative" if table.schema[name].is_numeric() else "nominal", title=name.replace("_", " ")
        )
        for name in columns
    ]


def signals() -> list[alt.Parameter]:
    """What every panel is told by the page: the representations switched off, and the one that the reader points at."""
    return [alt.param(name="hidden", value=[]), alt.param(name="focus", value="")]


VISIBLE = "indexof(hidden, datum.encoder) < 0"
_ELSEWHERE = "focus != '' && datum.encoder != focus"


def panel(title: str, chart: alt.LayerChart | alt.Chart, height: int = 240, params: Sequence[alt.Parameter] = ()) -> Panel:
    """Finish a chart as a panel: container width, theme, and the signals."""
    finished = chart.add_params(*signals(), *params).properties(width="container", height=height, background="transparent")
    finished = finished.configure(font=_FONT, padding={"left": 2, "right": 6, "top": 6, "bottom": 2})
    grid = {"gridColor": "#e5e7eb", "domainColor": "#9ca3af", "tickColor": "#9ca3af", "labelColor": INK, "titleColor": INK}
    finished = finished.configure_axis(**grid, labelFontSize=11, titleFontSize=12, titleFontWeight="normal", labelOverlap=True)
    finished = finished.configure_view(stroke=None).configure_line(strokeWidth=2, strokeJoin="round")
    return Panel(title, finished.to_dict())


def parameter(control: Control) -> alt.Parameter:
    """The signal that a control sets, at its first option."""
    return alt.param(name=control.signal, value=control.options[0][1])


def horizon_name(horizon: int) -> str:
    """What is predicted, as a reader reads it."""
    return "filtering" if horizon == 0 else f"{horizon} steps open loop"


def level(value: float) -> alt.Chart:
    """A horizontal dashed grey line."""
    return alt.Chart(alt.InlineData(values=[{"y": value}])).mark_rule(strokeDash=[5, 4], color=BASELINE).encode(y="y:Q")


def strongest(table: pl.DataFrame) -> pl.DataFrame:
    """The rows of the strongest look of each axis, the default look's among them."""
    return table.filter(pl.col("severity") == pl.col("severity").max().over("axis"))


def dots_by_axis(
    table: pl.DataFrame, encoders: Sequence[str], x: alt.X, y: alt.Y, where: str | None = None, upper: alt.Y | str = "value:Q",
    behind: alt.Chart | None = None,
) -> alt.LayerChart:  # fmt: skip
    """A dot with its interval per representation, side by side at each axis of shift.

    Args:
        table: encoder, axis, severity, value, low, high, and what `where` asks of.
        y: of `low`. upper: of `value`. where: a filter by signals of the page. behind: drawn first.
    """
    columns = ["encoder", "axis", "severity", *(["horizon"] if "horizon" in table.columns else []), "value", "low", "high"]
    base = alt.Chart(rows(table, columns)).transform_filter(VISIBLE)
    if where is not None:
        base = base.transform_filter(where)
    offset = alt.XOffset("encoder:N", scale=alt.Scale(domain=list(encoders), paddingInner=0.4, paddingOuter=0.6))
    base = base.encode(x=x, xOffset=offset, color=colour(encoders))
    bars = base.mark_rule(strokeWidth=1.5, opacity=0.6).encode(y=y, y2="high:Q")
    points = base.mark_point(filled=True, size=55, opacity=1).encode(
        y=upper, shape=shape(encoders), tooltip=tooltip(table, columns)
    )
    return bars + points if behind is None else behind + bars + points


def dots_by_encoder(
    table: pl.DataFrame, encoders: Sequence[str], value: str, columns: Sequence[str], behind: alt.Chart | None = None
) -> alt.Chart | alt.LayerChart:
    """A row per representation: a dot at `value`, an interval if it has one; it tells `columns`; `behind` is drawn first."""
    y = alt.Y("encoder:N", sort=list(encoders), title=None)
    base = alt.Chart(rows(table, columns)).transform_filter(VISIBLE).encode(y=y, color=colour(encoders))
    points = base.mark_point(filled=True, size=70, opacity=1).encode(
        x=alt.X(f"{value}:Q", title=None), shape=shape(encoders), tooltip=tooltip(table, columns)
    )
    before: list[alt.Chart] = [] if behind is None else [behind]
    if has_intervals(table):
        before.append(base.mark_rule(strokeWidth=2).encode(x=alt.X("low:Q", title=None), x2="high:Q"))
    return reduce(add, [*before, points])


def has_intervals(table: pl.DataFrame) -> bool:
    """Whether there is a `low` to draw: a mark without any makes Vega warn."""
    return table["low"].is_not_null().any()


def reference_line(value: float, text: str) -> alt.LayerChart:
    """A horizontal dashed grey line with its meaning written on it."""
    base = alt.Chart(alt.InlineData(values=[{"y": round(value, 4), "text": text}]))
    rule = base.mark_rule(strokeDash=[5, 4], color=BASELINE).encode(y="y:Q")
    label = base.mark_text(align="right", baseline="bottom", dy=-3, color=BASELINE, fontSize=11)
    return rule + label.encode(y="y:Q", x=alt.value("width"), text="text:N")
