"""What the page shows beside reward error: the claims' verdicts, and what was measured of models and representations."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import polars as pl

from analysis.accounting import COSTLY, accounting
from analysis.dynamics import coverage_by, dynamics_by, probes_by
from analysis.resample import Resampling
from analysis.results import Results
from analysis.statistics.wording import trust

_LOOK = ("axis", "severity", "split")
_AS_THEY_ARE = ("claims", "reliability", "measures", "properties", "encoders", "manifold", "scores")


@dataclass(frozen=True)
class Evidence:
    """Aggregates, each tidy and sorted; a table without columns was not made, and its figure is left out.

    Attributes:
        claims: what was claimed, tested and found (`claims.judge`).
        dynamics: error of predicted latents (`dynamics.dynamics_by`): encoder, algorithm, task, axis, severity, split, horizon,
            metric, value, low, high.
        coverage: share of true rewards inside the predicted distribution's central intervals (`dynamics.coverage_by`): encoder,
            algorithm, task, axis, severity, split, horizon, level, value, low, high.
        reliability: mean observed against mean predicted reward, by bin of the prediction (`measures.reliability`).
        measures: further measures of reward prediction (`measures.measures`): encoder, algorithm, task, axis, severity, split,
            horizon, measure, value, low, high.
        probes: what can be read from a representation without a world model (`dynamics.probes_by`): encoder, task, axis,
            severity, split, target, method, value, low, high.
        properties: of representations (`tables.PROPERTIES`): encoder, task, variant, axis, severity, split, property, value.
        encoders: of encoders (`tables.ENCODERS`): encoder, architecture, objective, data, images, language, temporal, dim.
        manifold: encoder, task, episode, t, reward, x, y: a two-dimensional picture of the representation.
        costs: what each representation took (`accounting.accounting`).
        scores: of runs, over all tasks and seeds (`scored.scored`).
        trust: sentences on how far intervals from so few episodes and seeds can be trusted.
    """

    claims: pl.DataFrame = field(default_factory=pl.DataFrame)
    dynamics: pl.DataFrame = field(default_factory=pl.DataFrame)
    coverage: pl.DataFrame = field(default_factory=pl.DataFrame)
    reliability: pl.DataFrame = field(default_factory=pl.DataFrame)
    measures: pl.DataFrame = field(default_factory=pl.DataFrame)
    probes: pl.DataFrame = field(default_factory=pl.DataFrame)
    properties: pl.DataFrame = field(default_factory=pl.DataFrame)
    encoders: pl.DataFrame = field(default_factory=pl.DataFrame)
    manifold: pl.DataFrame = field(default_factory=pl.DataFrame)
    costs: pl.DataFrame = field(default_factory=pl.DataFrame)
    scores: pl.DataFrame = field(default_factory=pl.DataFrame)
    trust: list[str] = field(default_factory=list)


def gathered(measured: Mapping[str, pl.DataFrame], results: Results, how: Resampling, names: Mapping[str, str]) -> Evidence:
    """Evidence from tables by name; one that was not made is left out.

    Args:
        measured: `dynamics`, `calibration`, `probes` as the stages wrote them, the others of `Evidence` as they are shown,
            `costs` as `tables.COSTS`, and `learning` and `online`.
        names: name of a representation in the outputs' paths -> canonical name.
    """
    made = {name: measured[name] for name in _AS_THEY_ARE if name in measured}
    if "dynamics" in measured:
        made["dynamics"] = dynamics_by(measured["dynamics"], (*_LOOK, "horizon"), how)
    if "calibration" in measured:
        made["coverage"] = coverage_by(measured["calibration"], (*_LOOK, "horizon"), how)
    if "probes" in measured:
        made["probes"] = probes_by(measured["probes"], _LOOK, how)
    if "costs" in measured and measured["costs"]["stage"].is_in(COSTLY).any():
        made["costs"] = accounting(measured["costs"], names, measured["learning"], measured["online"])
    episodes = results.looks.filter(pl.col("algorithm") != "none")["episodes"].min()
    return Evidence(**made, trust=[trust("episodes", int(episodes), results.seeds)])  # type: ignore[arg-type]


def of_cell(table: pl.DataFrame, encoders: Sequence[str], task: str, algorithm: str | None = None) -> pl.DataFrame:
    """The rows of one task (and algorithm), representations in the page's order; none of an empty table."""
    if table.is_empty():
        return table
    own = table.filter(pl.col("task") == task, pl.col("encoder").is_in(encoders))
    if algorithm is not None:
        own = own.filter(pl.col("algorithm") == algorithm)
    place = pl.col("encoder").replace_strict(encoders, range(len(encoders)), return_dtype=pl.Int32)
    return own.sort(place, maintain_order=True)
