"""The report folder: the page, every panel as SVG, and tidy tables for `dvc plots`."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

import polars as pl

from analysis.baselines import BASELINES
from analysis.cards import cards
from analysis.charts import Figure
from analysis.evidence import Evidence
from analysis.figures import breakdown_figure, contrast_figure, horizon_figure, shift_figure
from analysis.figures_dynamics import dynamics_figure
from analysis.figures_measures import measures_figure
from analysis.figures_online import online_figure, online_looks_figure
from analysis.figures_over_time import learning_figure, trace_figure
from analysis.figures_relation import relation_figure
from analysis.figures_scores import scores_figure
from analysis.figures_trust import calibration_figure
from analysis.figures_why import manifold_figure, nuisance_figure, probe_figure
from analysis.filmstrip import filmstrip
from analysis.findings import caveat, findings
from analysis.metrics import DIGITS
from analysis.online import curves, ends
from analysis.page import Look, Page, Section, render_page, static_svg
from analysis.recordings import Frame, recorded
from analysis.results import Results
from analysis.verdicts import summary, told

TITLE = "Do pre-trained visual representations help a world model?"


@dataclass(frozen=True)
class Context:
    """What the page says besides the results.

    Attributes:
        behaviour: episodes and returns by quality (`behaviour.behaviour_table`).
        expert_return: task -> mean return of the expert's episodes in the data.
        provenance: input -> digest.
        params: the parameters as text.
        commit: of the code that made the page; empty where it is not known.
        evidence: what was measured beside reward error.
        frames: task -> look's variant -> step -> PNG, of the episode that a filmstrip shows (`filmstrip.chosen_episode`).
        recordings: imagined rollouts (`tables.RECORDINGS`). recorded: task -> frame -> PNG, those that they need.
    """

    preset: str
    confidence: float
    looks: list[Look]
    behaviour: pl.DataFrame
    expert_return: Mapping[str, float]
    provenance: Mapping[str, str]
    params: str
    commit: str = ""
    evidence: Evidence = field(default_factory=Evidence)
    frames: Mapping[str, Mapping[str, Mapping[int, bytes]]] = field(default_factory=dict)
    recordings: pl.DataFrame = field(default_factory=pl.DataFrame)
    recorded: Mapping[str, Mapping[Frame, bytes]] = field(default_factory=dict)


def write_report(results: Results, context: Context, folder: Path) -> None:
    """Write `index.html`, `figures/*.svg` and `plots/*.csv` below `folder`."""
    sections = [_section(results, task, algorithm, context) for task, algorithm in results.cells]
    sections += _representations(results, context.evidence)
    svgs = {}
    (folder / "figures").mkdir(parents=True, exist_ok=True)
    for section in sections:
        for figure in section.figures:
            for index, panel in enumerate(figure.panels):
                svg = static_svg(panel)
                svgs[section.name, figure.name, index] = svg
                prefix = f"{section.name}-" if len(results.cells) > 1 or section.headline is None else ""
                (folder / "figures" / f"{prefix}{figure.name}-{index + 1}.svg").write_text(svg)
    tasks = ", ".join(dict.fromkeys(task for task, _ in results.cells))
    algorithms = ", ".join(dict.fromkeys(algorithm for _, algorithm in results.cells))
    page = Page(
        title=TITLE,
        subtitle=f"{tasks} · {algorithms} · selected representation: {results.selected} · preset {context.preset}",
        caveat=" ".join([caveat(results, context.confidence), *context.evidence.trust]),
        encoders=results.encoders,
        selected=results.selected,
        looks=context.looks,
        behaviour=context.behaviour,
        sections=sections,
        provenance=context.provenance,
        params=context.params,
        missing=results.missing,
        commit=context.commit,
        claims=told(context.evidence.claims),
        verdicts=summary(context.evidence.claims),
        cards=cards(results, context.evidence),
        costs=context.evidence.costs,
    )
    (folder / "index.html").write_text(render_page(page, svgs))
    _write_plots(results, folder / "plots")


def _section(results: Results, task: str, algorithm: str, context: Context) -> Section:
    figures: list[Figure | None] = [
        shift_figure(results, task, algorithm),
        contrast_figure(results, task, algorithm),
        horizon_figure(results, task, algorithm),
        trace_figure(results, task, algorithm),
        breakdown_figure(results, task, algorithm),
        measures_figure(context.evidence, results.encoders, task, algorithm),
        calibration_figure(context.evidence, results.encoders, task, algorithm),
        dynamics_figure(context.evidence, results.encoders, task, algorithm),
        learning_figure(results, task, algorithm),
        online_figure(results, task, algorithm, context.expert_return),
        online_looks_figure(results, task, algorithm),
    ]
    return Section(
        name=f"{task}-{algorithm}",
        title=f"{task}, {algorithm}",
        findings=findings(results, task, algorithm, context.expert_return, context.confidence),
        headline=headline(results, task, algorithm),
        figures=[figure for figure in figures if figure is not None],
        filmstrip=filmstrip(results.traces, task, algorithm, results.encoders, context.frames.get(task, {})),
        recorded=recorded(context.recordings, task, algorithm, results.encoders, context.recorded.get(task, {})),
    )


def _representations(results: Results, evidence: Evidence) -> list[Section]:
    """What needs no world model, by task, and what all tasks say together."""
    sections = []
    for task in dict.fromkeys(task for task, _ in results.cells):
        figures = [make(evidence, results.encoders, task) for make in (manifold_figure, probe_figure, nuisance_figure)]
        chosen = [figure for figure in figures if figure is not None]
        if chosen:
            sections.append(Section(f"{task}-representations", f"{task}: the representations themselves", [], None, chosen))
    together = [figure for figure in (scores_figure(evidence, results.encoders), relation_figure(results)) if figure is not None]
    if together:
        sections.append(Section("all", "Everything together", [], None, together))
    return sections


def headline(results: Results, task: str, algorithm: str) -> pl.DataFrame:
    """One row per representation, then the baselines: R2 [interval], error, its growth under the strongest shifts, return."""
    mine = (pl.col("task") == task) & pl.col("algorithm").is_in([algorithm, "none"])
    looks = results.held_out.filter(mine)
    table = pl.DataFrame({"representation": [*results.encoders, *BASELINES]})
    for horizon, name in ((0, "filtering"), (results.short, f"{results.short} steps open loop")):
        at = looks.filter(pl.col("axis") == "default", pl.col("horizon") == horizon)
        r2 = pl.format("{} [{}, {}]", *(_digits(c, 3) for c in ("r2", "r2_low", "r2_high"))).alias(f"R² {name}")
        columns = at.select(pl.col("encoder").alias("representation"), r2, pl.col("mae").round(4).alias(f"MAE {name}"))
        table = table.join(columns, on="representation", how="left", maintain_order="left")
    shifted = looks.filter(pl.col("axis") != "default", pl.col("horizon") == 0)
    strongest = shifted.filter(pl.col("severity") == pl.col("severity").max().over("axis"))
    for axis in sorted(strongest["axis"].unique()):
        column = strongest.filter(pl.col("axis") == axis).select(
            pl.col("encoder").alias("representation"), pl.col("mae_ratio").round(2).alias(f"× MAE, strongest {axis}")
        )
        table = table.join(column, on="representation", how="left", maintain_order="left")
    last = (
        ends(results.online)
        .filter(mine)
        .select(pl.col("encoder").alias("representation"), pl.col("last").round(0).alias("return online"))
    )
    return table.join(last, on="representation", how="left", maintain_order="left")


def _digits(column: str, digits: int) -> pl.Expr:
    """Text with a fixed number of digits; a rounded zero has no sign, an undefined value is a dash."""
    return (
        pl.col(column)
        .map_elements(lambda v: f"{round(v, digits) + 0.0:.{digits}f}", return_dtype=pl.String)
        .str.replace("-", "−", literal=True)
        .fill_null("–")
    )


def _write_plots(results: Results, folder: Path) -> None:
    """Tidy tables for DVC's plots: the default and shifted looks, the horizon, learning and online curves."""
    folder.mkdir(parents=True, exist_ok=True)
    cell = ["encoder", "task", "algorithm"]
    looks = results.held_out
    shifted = looks.filter(pl.col("horizon") == 0, ~pl.col("encoder").is_in(BASELINES))
    axes = sorted(set(shifted["axis"]) - {"default"})
    default = [
        shifted.filter(pl.col("axis") == "default").with_columns(axis=pl.lit(axis)) for axis in axes
    ]  # every line starts at 0
    error = pl.concat([*default, shifted.filter(pl.col("axis") != "default")]).sort(*cell, "axis", "severity")
    horizon = looks.filter(pl.col("axis") == "default", pl.col("horizon") <= results.short)
    learning = results.learning.group_by(*cell, "update", "metric").agg(pl.col("value").sort_by("seed").mean())
    wide = learning.sort(*cell, "update", "metric").pivot("metric", index=[*cell, "update"], values="value", sort_columns=True)
    tables = {
        "reward_error": error.select(*cell, "axis", "severity", "mae", "mae_low", "mae_high", "r2", "mae_increase"),
        "horizon": horizon.select(*cell, "horizon", "r2", "r2_low", "r2_high", "mae"),
        "learning": wide,
        "online": curves(results.online).select(*cell, "env_steps", "return"),
    }
    for name, table in tables.items():
        table.with_columns(pl.col(pl.Float64).round(DIGITS)).write_csv(folder / f"{name}.csv")
