"""The report as one HTML file that loads nothing from anywhere: styles, scripts, charts, numbers and pictures inline."""

import base64
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import polars as pl

from analysis.cards import Card
from analysis.charts import Figure, Panel, style
from analysis.filmstrip import Filmstrip
from analysis.recordings import Recorded
from analysis.strip_layout import GAP, HEIGHT, LABELS, ROWS, SIDE, TRACE, layout
from analysis.verdicts import Told

_FOLDER = Path(__file__).parent / "page"
_STATIC_WIDTH = 420
_ROUNDING = 1e-12  # figures this small are what is left of a zero


@dataclass(frozen=True)
class Section:
    """What is shown of one task and algorithm, or (without findings) of one task or all of them.

    Attributes:
        name: unique on the page, a fragment of its address.
    """

    name: str
    title: str
    findings: list[str]
    headline: pl.DataFrame | None
    figures: list[Figure]
    filmstrip: Filmstrip | None = None
    recorded: Recorded | None = None


@dataclass(frozen=True)
class Look:
    """A task's contact sheet (PNG), what it shows, and what each look does to the pictures (`tables.LOOKS`)."""

    task: str
    contact_sheet: bytes
    caption: str
    statistics: pl.DataFrame


@dataclass(frozen=True)
class Page:
    """Everything on the page."""

    title: str
    subtitle: str
    caveat: str
    encoders: list[str]
    selected: str
    looks: list[Look]
    behaviour: pl.DataFrame
    sections: list[Section]
    provenance: Mapping[str, str]
    params: str
    missing: Sequence[str] = field(default_factory=list)
    commit: str = ""
    claims: Sequence[Told] = field(default_factory=list)
    verdicts: str = ""
    cards: Sequence[Card] = field(default_factory=list)
    costs: pl.DataFrame = field(default_factory=pl.DataFrame)

    @property
    def decided(self) -> bool:
        """Whether any claim has a verdict."""
        return any(claim.verdict != "undecided" for claim in self.claims)

    @property
    def found(self) -> list[Section]:
        """Sections with findings."""
        return [section for section in self.sections if section.findings or section.headline is not None]


def static_svg(panel: Panel) -> str:
    """The panel as an SVG of fixed width, for readers without scripts and for other documents."""
    import vl_convert

    spec = panel.spec | {"width": _STATIC_WIDTH, "background": "white"}
    return vl_convert.vegalite_to_svg(spec, vl_version=_vega_lite_version())


def render_page(page: Page, svgs: Mapping[tuple[str, str, int], str]) -> str:
    """The HTML text; the same for the same arguments.

    Args:
        svgs: (section name, figure name, panel index) -> static SVG of the panel.
    """
    import vl_convert
    from jinja2 import Environment, FileSystemLoader, StrictUndefined

    environment = Environment(
        loader=FileSystemLoader(_FOLDER), autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True
    )
    environment.filters |= {
        "cell": _cell,
        "base64": _base64,
        "json": _json,
        "heading": _heading,
        "layout": layout,
        "deviations": _deviations,
    }
    colours = {name: (colour, _GLYPHS[shape]) for name, (colour, shape) in style(page.encoders).items()}
    return environment.get_template("report.html.j2").render(
        page=page, svgs=svgs, colours=colours, vega=vl_convert.javascript_bundle(vl_version=_vega_lite_version()),  # type: ignore[call-arg]
        strip={"side": SIDE, "gap": GAP, "height": HEIGHT, "labels": LABELS, "rows": ROWS, "trace": TRACE},
        css=(_FOLDER / "report.css").read_text(), script=(_FOLDER / "report.js").read_text(),
    )  # fmt: skip


_GLYPHS = {
    "circle": "●", "square": "■", "triangle-up": "▲", "diamond": "◆", "triangle-down": "▼", "cross": "✚", "triangle-right": "▶",
}  # fmt: skip


def _vega_lite_version() -> str:
    """Major and minor version of Vega-Lite that the specifications are written for."""
    import altair

    return ".".join(altair.SCHEMA_VERSION.removeprefix("v").split(".")[:2])


def _json(value: Any) -> str:
    """JSON that can stand in a script element."""
    return json.dumps(value, separators=(",", ":"), sort_keys=True).replace("<", "\\u003c")


def _base64(data: bytes) -> str:
    return base64.b64encode(data).decode()


def _cell(value: Any) -> str:
    """A number as a reader wants it: four significant digits, whole numbers whole."""
    if value is None:
        return "–"
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, float):
        value = 0.0 if abs(value) < _ROUNDING else value
        text = f"{value:.0f}" if abs(value) >= 1000 else f"{value:.4g}"
        return text.replace("-", "\N{MINUS SIGN}", 1) if text.startswith("-") else text
    return str(value)


def _deviations(value: float | None) -> str:
    return "–" if value is None else f"{value:.1f}"


def _heading(column: str) -> str:
    return column.replace("_", " ").replace("r2", "R²").replace("mae", "MAE")
