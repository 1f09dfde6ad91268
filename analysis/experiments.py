"""One table of many experiments at once, read lazily where it lies.

    found = scan_experiments(["workspace", "exp-vc1", "HEAD~1", "../other/project"])
    found.rows.group_by("experiment", "encoder").agg(...).collect(engine="streaming")

What experiments share, and how their rows become one table without repetition: `analysis/shared.py`.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import polars as pl

from analysis.schema import scan_table, version_of
from analysis.sources import Source, resolve
from analysis.tables import TABLES
from datasets.errors import DataError, UserError

EXPERIMENT = "experiment"
REFERENCES = ("state", "scratch", "random_cnn", "autoencoder")


@dataclass(frozen=True)
class Experiments:
    """One table of several experiments.

    Attributes:
        table: its name.
        frames: experiment -> its rows, lazy; the first column, `experiment`, is its name.
        missing: a sentence for everything that could not be read.
    """

    table: str
    frames: dict[str, pl.LazyFrame]
    missing: list[str] = field(default_factory=list)

    @property
    def rows(self) -> pl.LazyFrame:
        """All rows, in the order of the sources, those that experiments share as often as they have them.

        Raises:
            DataError: no experiment has this table.
        """
        if not self.frames:
            raise DataError(f"no experiment has a {self.table} table: {' '.join(self.missing)}")
        return pl.concat(self.frames.values(), how="diagonal_relaxed")


def scan_experiments(sources: Sequence[str], table: str = "reward_error", root: Path = Path(".")) -> Experiments:
    """The rows of one table in many experiments.

    Args:
        sources: names, each as `sources.resolve` knows them.
        table: `reward_error`, `learning`, `online`, `looks`, `costs`, or any other that lies in results/.
        root: the project.

    Raises:
        UserError: a source stands for nothing, or is named twice. An experiment without, or with unreadable, results is no
            error: `missing` says so.
    """
    return scan([resolve(name, root) for name in distinct(sources)], table)


def distinct(sources: Sequence[str]) -> Sequence[str]:
    """`sources`, if there are any and each is named once."""
    if not sources:
        raise UserError("no experiment named; `workspace` is the results that lie here")
    if twice := [name for name in dict.fromkeys(sources) if list(sources).count(name) > 1]:
        raise UserError(f"{twice[0]} is named twice")
    return sources


def scan(sources: Sequence[Source], table: str) -> Experiments:
    """`scan_experiments` of sources that are resolved."""
    frames, missing = {}, []
    for source in sources:
        frame, said = _frame(source, table)
        missing += said
        if frame is not None:
            frames[source.name] = frame.select(pl.lit(source.name).alias(EXPERIMENT), pl.all())
            missing += _absent(source, frame, table)
    return Experiments(table, frames, missing)


def _frame(source: Source, table: str) -> tuple[pl.LazyFrame | None, list[str]]:
    try:
        files, said = source.tables(table)
    except DataError as error:
        return None, [f"{error}: it is left out of {table}."]
    parts, missing = [], [said] if said else []
    for path in files:
        try:
            if table in TABLES:
                parts.append(scan_table(path, TABLES[table], table))
            else:
                version_of(path)
                parts.append(pl.scan_parquet(path))
        except DataError as error:
            missing.append(f"{source.name}: {error}: it is left out.")
    return (pl.concat(parts, how="diagonal_relaxed") if parts else None), missing


def _absent(source: Source, frame: pl.LazyFrame, table: str) -> list[str]:
    if table != "reward_error":
        return []
    have = set(frame.select(pl.col("encoder").unique()).collect(engine="streaming")["encoder"])
    lacking = [name for name in REFERENCES if name not in have]
    return [f"{source.name} has no rows of {', '.join(lacking)}."] if lacking else []
