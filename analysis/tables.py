"""The tables on disk: their columns, and how the parts of many stages become one table.

Column by column, with examples: docs/tables.md.
"""

from collections.abc import Iterable, Mapping
from pathlib import Path

import polars as pl

from analysis.schema import KEY, VERSION, scan_table
from datasets.errors import DataError

REWARD_ERROR: dict[str, pl.DataType] = {
    "encoder": pl.String(), "algorithm": pl.String(), "seed": pl.Int64(), "preset": pl.String(), "task": pl.String(),
    "variant": pl.String(), "axis": pl.String(), "severity": pl.Float64(), "split": pl.String(), "quality": pl.String(),
    "episode": pl.Int32(), "t": pl.Int32(), "horizon": pl.Int32(), "reward": pl.Float32(), "reward_pred": pl.Float32(),
}  # fmt: skip

LEARNING: dict[str, pl.DataType] = {
    "encoder": pl.String(), "task": pl.String(), "algorithm": pl.String(), "seed": pl.Int64(),
    "update": pl.Int64(), "metric": pl.String(), "value": pl.Float64(),
}  # fmt: skip

ONLINE: dict[str, pl.DataType] = {
    "algorithm": pl.String(), "encoder": pl.String(), "task": pl.String(), "seed": pl.Int64(), "init": pl.String(),
    "arm": pl.String(), "preset": pl.String(), "variant": pl.String(), "axis": pl.String(), "severity": pl.Float64(),
    "split": pl.String(), "env_steps": pl.Int64(), "return": pl.Float64(), "return_std": pl.Float64(), "episodes": pl.Int64(),
}  # fmt: skip

LOOKS: dict[str, pl.DataType] = {
    "task": pl.String(), "variant": pl.String(), "axis": pl.String(), "severity": pl.Float64(), "split": pl.String(),
    "pixel_change": pl.Float64(), "perceptual_change": pl.Float64(), "body_visible": pl.Float64(), "body_contrast": pl.Float64(),
    "body_contrast_default": pl.Float64(), "states": pl.Int64(),
}  # fmt: skip

_LOOK: dict[str, pl.DataType] = {
    "variant": pl.String(), "axis": pl.String(), "severity": pl.Float64(), "split": pl.String(),
}  # fmt: skip
_MODEL: dict[str, pl.DataType] = {
    "encoder": pl.String(), "algorithm": pl.String(), "seed": pl.Int64(), "preset": pl.String(), "task": pl.String(),
}  # fmt: skip
_ENCODER: dict[str, pl.DataType] = {"encoder": pl.String(), "preset": pl.String(), "task": pl.String()}
_EPISODE: dict[str, pl.DataType] = {"quality": pl.String(), "episode": pl.Int32()}

DYNAMICS: dict[str, pl.DataType] = {
    **_MODEL, **_LOOK, **_EPISODE, "horizon": pl.Int32(), "metric": pl.String(), "n": pl.Int64(), "value": pl.Float64(),
}  # fmt: skip

CALIBRATION: dict[str, pl.DataType] = {
    **_MODEL, **_LOOK, **_EPISODE, "horizon": pl.Int32(), "level": pl.Float64(), "n": pl.Int64(), "inside": pl.Int64(),
    "width": pl.Float64(),
}  # fmt: skip

RECORDINGS: dict[str, pl.DataType] = {
    **REWARD_ERROR, "space": pl.String(),
    **{
        f"{of}nearest_{name}": kind
        for of in ("", "true_")
        for name, kind in (
            ("episode", pl.Int32()), ("t", pl.Int32()), ("distance", pl.Float32()), ("state_distance", pl.Float32())
        )
    },
}  # fmt: skip

PROBES: dict[str, pl.DataType] = {
    **_ENCODER, **_LOOK, **_EPISODE, "target": pl.String(), "method": pl.String(), "n": pl.Int64(), "value": pl.Float64(),
}  # fmt: skip

PROPERTIES: dict[str, pl.DataType] = {**_ENCODER, **_LOOK, "property": pl.String(), "value": pl.Float64()}

SAMPLE: dict[str, pl.DataType] = {
    "encoder": pl.String(), "task": pl.String(), "episode": pl.Int32(), "t": pl.Int32(), "reward": pl.Float32(),
    "feature": pl.List(pl.Float32()),
}  # fmt: skip

MANIFOLD: dict[str, pl.DataType] = {
    "encoder": pl.String(), "task": pl.String(), "episode": pl.Int32(), "t": pl.Int32(), "reward": pl.Float32(),
    "x": pl.Float32(), "y": pl.Float32(),
}  # fmt: skip

ENCODERS: dict[str, pl.DataType] = {
    "encoder": pl.String(), "architecture": pl.String(), "objective": pl.String(), "data": pl.String(), "images": pl.Int64(),
    "language": pl.Boolean(), "temporal": pl.Boolean(), "dim": pl.Int64(),
}  # fmt: skip

COSTS: dict[str, pl.DataType] = {
    "stage": pl.String(), "out": pl.String(), "key": pl.String(), "wall_s": pl.Float64(), "cpu_s": pl.Float64(),
    "finished": pl.String(), "host": pl.String(), "hardware": pl.String(), "bytes": pl.Int64(),
}  # fmt: skip


TABLES: dict[str, dict[str, pl.DataType]] = {
    "reward_error": REWARD_ERROR, "learning": LEARNING, "online": ONLINE, "looks": LOOKS, "costs": COSTS,
    "dynamics": DYNAMICS, "calibration": CALIBRATION, "probes": PROBES, "properties": PROPERTIES, "manifold": MANIFOLD,
    "recordings": RECORDINGS,
}  # fmt: skip


def scan_parts(paths: Iterable[Path], columns: Mapping[str, pl.DataType]) -> pl.LazyFrame:
    """One lazy table of all `paths`, in their order, with exactly `columns`.

    Raises:
        DataError: a file is missing or damaged, lacks a column, or holds one of a type that cannot become the expected one.
    """
    parts = [scan_table(path, columns) for path in paths]
    if not parts:
        raise DataError("no result tables to read; `dvc repro` makes them")
    return pl.concat(parts, how="vertical")


def write_table(table: pl.DataFrame | pl.LazyFrame, path: Path) -> None:
    """Write Parquet (zstd) with its schema version; the bytes depend on nothing but the rows and their order."""
    metadata = {KEY: str(VERSION)}
    if isinstance(table, pl.LazyFrame):
        table.sink_parquet(path, compression="zstd", maintain_order=True, metadata=metadata)
    else:
        table.write_parquet(path, compression="zstd", metadata=metadata)


def encoders_table(paths: Iterable[Path]) -> pl.DataFrame:
    """What is known of every encoder, one row each, from the parts of several tasks.

    Raises:
        DataError: as `scan_parts`.
    """
    return scan_parts(paths, ENCODERS).collect().unique("encoder", keep="first", maintain_order=True)


def costs_table(notes: Iterable[Mapping[str, object]]) -> pl.DataFrame:
    """What every stage took, from the notes that stages leave; the only table with times and host names."""
    return pl.DataFrame([{name: note[name] for name in COSTS} for note in notes], schema=COSTS)
