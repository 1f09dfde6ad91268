"""Versions of the tables on disk: what a table says of itself, and how one of an older version is read.

The number stands in the Parquet file's own metadata. It rises when a column is added, removed or changes its meaning
(history: docs/tables.md); a table without one is of version 1.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import polars as pl

from datasets.errors import DataError

VERSION = 2
KEY = "encore.schema"


@dataclass(frozen=True)
class Added:
    """A column that tables of versions below `version` do not have, and what stands for it in them."""

    version: int
    fill: Any = None


ADDED: dict[str, dict[str, Added]] = {"costs": {"bytes": Added(2)}}  # table -> column


def version_of(path: Path) -> int:
    """The schema version of a table on disk.

    Raises:
        DataError: the file is missing, is no Parquet, says something else than a version, or is newer than this program.
    """
    if not path.is_file():
        raise DataError(f"{path} is missing; `dvc repro` makes it")
    try:
        text = pl.read_parquet_metadata(path).get(KEY, "1")
    except (pl.exceptions.PolarsError, OSError) as error:
        raise unreadable(path, error) from None
    if not text.isdecimal() or int(text) < 1:
        raise DataError(f"{path}: its schema version {text!r} is not a whole number from 1; run its stage again")
    if int(text) > VERSION:
        raise DataError(f"{path} has schema version {text}, newer than {VERSION}, the last one known here; update this program")
    return int(text)


def scan_table(path: Path, columns: Mapping[str, pl.DataType], table: str = "") -> pl.LazyFrame:
    """One table with exactly `columns`, in their order and types, whatever version wrote it.

    Args:
        table: its name (`reward_error`, ...), by which columns added since are known: where the file is older they are filled.

    Raises:
        DataError: the file is missing, damaged or newer, lacks a column that its version has, or holds one of another kind.
    """
    version = version_of(path)
    try:
        found = pl.read_parquet_schema(path)
    except (pl.exceptions.PolarsError, OSError) as error:
        raise unreadable(path, error) from None
    later = {name: added for name, added in ADDED.get(table, {}).items() if name not in found and added.version > version}
    if missing := [name for name in columns if name not in found and name not in later]:
        raise DataError(f"{path} lacks the column {', '.join(missing)}; run its stage again")
    for name, wanted in columns.items():
        if name in found and wanted.is_numeric() != found[name].is_numeric():
            raise DataError(f"{path}: column {name} is {found[name]}, {wanted} expected; run its stage again")
    source = {name: pl.lit(later[name].fill) if name in later else pl.col(name) for name in columns}
    return pl.scan_parquet(path).select(source[name].cast(wanted).alias(name) for name, wanted in columns.items())


def unreadable(path: Path, error: Exception) -> DataError:
    """What is said of a file that is no Parquet."""
    first = (str(error).splitlines() or [type(error).__name__])[0]
    return DataError(f"{path} is not a readable Parquet file ({first}); run its stage again")
