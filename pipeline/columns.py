"""Columns that every row of a table part shares."""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from datasets.frames import Look


def literals(values: Mapping[str, str | int | float]) -> dict[str, Any]:
    """Columns of one value each: String, Int64 or Float64."""
    import polars as pl

    types = {str: pl.String, int: pl.Int64, float: pl.Float64}
    return {name: pl.lit(value, types[type(value)]) for name, value in values.items()}


def look_columns(look: "Look") -> dict[str, Any]:
    """variant, axis, severity, split."""
    return literals({"variant": look.variant, "axis": look.axis, "severity": float(look.severity), "split": look.split})
