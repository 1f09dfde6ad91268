"""One card per representation: what it is, how it predicts, and what it cost."""

from dataclasses import dataclass

import polars as pl

from analysis.charts import strongest
from analysis.evidence import Evidence
from analysis.results import Results

_ABOUT = ("architecture", "objective", "data", "images", "language", "temporal", "dim")


@dataclass(frozen=True)
class Card:
    """Of one representation.

    Attributes:
        about: what it is, name and value; empty where nothing is known.
        errors: its row of every task and algorithm.
        costs: likewise; without rows where nothing was measured.
    """

    encoder: str
    about: list[tuple[str, str]]
    errors: pl.DataFrame
    costs: pl.DataFrame


def cards(results: Results, evidence: Evidence) -> list[Card]:
    """In the page's order."""
    return [_card(encoder, results, evidence) for encoder in results.encoders]


def _card(encoder: str, results: Results, evidence: Evidence) -> Card:
    about = []
    if not evidence.encoders.is_empty():
        known = evidence.encoders.filter(pl.col("encoder") == encoder)
        about = [
            (name, _told(value)) for row in known.iter_rows(named=True) for name in _ABOUT if (value := row.get(name)) is not None
        ]
    if not evidence.properties.is_empty():
        own = evidence.properties.filter(pl.col("encoder") == encoder, pl.col("property") == "intrinsic_dimension")
        about += [
            (f"intrinsic dimension, {row['task']}", f"{row['value']:.1f}")
            for row in own.drop_nulls("value").iter_rows(named=True)
        ]
    own = results.held_out.filter(pl.col("encoder") == encoder, pl.col("horizon").is_in([0, results.short]))
    shown = strongest(own)
    keys = ["task", "algorithm", "axis", "severity", "horizon"]
    figures = ["r2", "r2_low", "r2_high", "mae", "mae_ratio", "mae_ratio_low", "mae_ratio_high"]
    costs = evidence.costs
    if not costs.is_empty():
        costs = costs.filter(pl.col("encoder") == encoder).drop("encoder")
    return Card(encoder, about, shown.sort(keys).select(*keys, *figures), costs)


def _told(value: object) -> str:
    if isinstance(value, bool):
        return "yes" if value else "no"
    return f"{value:,}" if isinstance(value, int) else str(value)
