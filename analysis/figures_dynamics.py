"""Figures about what latents know: the physics state and the embedding, while filtering and while imagining."""

import altair as alt
import polars as pl

from analysis.charts import (
    VISIBLE,
    Control,
    Figure,
    Panel,
    colour,
    dots_by_axis,
    dots_by_encoder,
    horizon_name,
    level,
    panel,
    parameter,
    rows,
    strongest,
    tooltip,
)  # fmt: skip
from analysis.evidence import Evidence, of_cell

# Metric -> what its panel says. Normalised ones compare across representations, the others do not.
_METRICS = {
    "state_nmse": "physics state read from the latent (normalised error)",
    "embedding_nmse": "embedding read from the latent (normalised error)",
    "kl": "KL of posterior and prior (nats)",
    "latent_mse": "squared error of the predicted latent",
}
_NORMALISED = ("state_nmse", "embedding_nmse")


def dynamics_figure(evidence: Evidence, encoders: list[str], task: str, algorithm: str) -> Figure | None:
    """Error of latents by horizon under the default look and by look; None where it was not measured."""
    own = of_cell(evidence.dynamics, encoders, task, algorithm)
    if own.is_empty():
        return None
    default = own.filter(pl.col("axis") == "default")
    panels = []
    for metric, title in _METRICS.items():
        of_metric = default.filter(pl.col("metric") == metric)
        if of_metric["horizon"].n_unique() > 1:
            panels.append(panel(title, _by_horizon(of_metric, encoders, metric in _NORMALISED), 240))
        elif len(of_metric):
            panels.append(
                panel(
                    title,
                    dots_by_encoder(of_metric, encoders, "value", ["encoder", "value", "low", "high"]),
                    40 + 26 * len(of_metric),
                )
            )
    shifted = own.filter(pl.col("metric") == "state_nmse", pl.col("axis") != "default")
    controls: list[Control] = []
    if not shifted.is_empty():
        control = Control("horizon", "Looks", [(horizon_name(h), h) for h in sorted(shifted["horizon"].unique())])
        controls.append(control)
        panels.append(_by_look(shifted, encoders, control))
    return Figure(
        "dynamics", "What the latents know",
        "A ridge regression, fitted on filtered latents of training episodes, reads the physics state (and the embedding) from "
        "latents of held-out ones: at 0 from what was observed, beyond from what was imagined. Errors are in units of the "
        "quantity's own variance: 0 is perfect, 1 is guessing the mean, so they compare across representations. KL and latent "
        "error, the paper's dynamics errors, are in units of each model's own.",
        panels, own.select("encoder", "metric", "axis", "severity", "horizon", "value", "low", "high"), encoders, controls,
        dashed="guessing the mean",
    )  # fmt: skip


def _by_horizon(table: pl.DataFrame, encoders: list[str], normalised: bool) -> alt.LayerChart:
    columns = ["encoder", "horizon", "value", "low", "high"]
    x = alt.X("horizon:Q", title="steps of open loop (0: filtering)", axis=alt.Axis(tickMinStep=1))
    base = alt.Chart(rows(table, columns)).transform_filter(VISIBLE).encode(x=x, color=colour(encoders))
    band = base.mark_area(opacity=0.15).encode(y=alt.Y("low:Q", title=None), y2="high:Q")
    line = base.mark_line(point={"size": 28}).encode(y="value:Q", tooltip=tooltip(table, columns))
    return (band + level(1) + line) if normalised else band + line


def _by_look(table: pl.DataFrame, encoders: list[str], control: Control) -> Panel:
    x = alt.X("axis:N", title="strongest look of the axis", axis=alt.Axis(labelAngle=0))
    dots = dots_by_axis(strongest(table), encoders, x, alt.Y("low:Q", title=None), "datum.horizon == horizon", behind=level(1))
    return panel("physics state under shifted looks (normalised error)", dots, 240, [parameter(control)])
