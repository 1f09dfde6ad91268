"""What the page shows beside reward error: the claims' verdicts, and what was measured of models and representations."""

from collections.abc import Sequence
from dataclasses import dataclass, field

import polars as pl


@dataclass(frozen=True)
class Evidence:
    """Aggregates, each tidy and sorted; a table without columns was not made, and its figure is left out.

    Attributes:
        claims: what was claimed, tested and found (`claims.judge`).
        dynamics: error of predicted latents (`dynamics.dynamics_by`): encoder, algorithm, task, axis, severity, split, horizon,
            metric, value, low, high.
        coverage: share of true rewards inside the predicted distribution's central intervals (`dynamics.coverage_by`): encoder,
            algorithm, task, axis, severity, split, horizon, level, value, low, high.
        reliability: mean observed against mean predicted reward, by bin of the prediction (`reliability.reliability`).
        measures: further measures of reward prediction (`measures.measures`): encoder, algorithm, task, axis, severity, split,
            horizon, measure, value, low, high.
        probes: what can be read from a representation without a world model (`dynamics.probes_by`): encoder, task, axis,
            severity, split, target, method, value, low, high.
        properties: of representations (`tables.PROPERTIES`): encoder, task, variant, axis, severity, split, property, value.
        encoders: of encoders (`tables.ENCODERS`): encoder, architecture, objective, data, images, language, temporal, dim.
        manifold: encoder, task, episode, t, reward, x, y: a two-dimensional picture of the representation.
        costs: what each representation took (`accounting.accounting`).
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
    trust: list[str] = field(default_factory=list)


def of_cell(table: pl.DataFrame, encoders: Sequence[str], task: str, algorithm: str | None = None) -> pl.DataFrame:
    """The rows of one task (and algorithm), representations in the page's order; none of an empty table."""
    if table.is_empty():
        return table
    own = table.filter(pl.col("task") == task, pl.col("encoder").is_in(encoders))
    if algorithm is not None:
        own = own.filter(pl.col("algorithm") == algorithm)
    place = pl.col("encoder").replace_strict(encoders, range(len(encoders)), return_dtype=pl.Int32)
    return own.sort(place, maintain_order=True)
