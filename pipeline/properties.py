"""What the registry says of encoders, as a table for regressions."""

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import polars as pl


def encoder_properties() -> "pl.DataFrame":
    """Every registered encoder: encoder, architecture, objective, data, images, language, temporal."""
    import polars as pl

    from pipeline.encoders.registry import list_encoders

    names = ("architecture", "objective", "data", "images", "language", "temporal")
    rows = [{"encoder": info.name} | {name: getattr(info, name) for name in names} for info in list_encoders()]
    return pl.DataFrame(rows, infer_schema_length=None)
