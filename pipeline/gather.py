"""The experiments that a comparison is made of: resolved, their tables scanned, what they share found."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from datasets.errors import DataError
from datasets.manifest import digest_of, sha256_file
from pipeline.log import track
from pipeline.params import canonical
from pipeline.settings import Settings, flat

if TYPE_CHECKING:
    import polars as pl

    from analysis.shared import Shared
    from analysis.sources import Source

OPTIONAL = ("dynamics", "calibration", "probes", "properties", "manifold")  # not of every experiment
TABLES = ("reward_error", "online", "learning", "looks", "costs", *OPTIONAL)


@dataclass(frozen=True)
class Gathered:
    """The sources and what they hold. `missing`: sentences about what they do not, or what was kept apart."""

    sources: "list[Source]"
    settings: dict[str, Settings]
    shared: "Shared"
    missing: list[str]


def gather(names: list[str], root: Path = Path(".")) -> Gathered:
    """Resolve sources and scan their tables."""
    from analysis.experiments import distinct, scan
    from analysis.shared import share
    from analysis.sources import resolve

    sources = [resolve(name, root) for name in track(distinct(names), len(names), "experiment", "compare")]
    settings = {source.name: flat(source.params, source.name) for source in sources if source.params is not None}
    found = [scan(sources, table) for table in TABLES]
    if not found[0].frames:
        raise DataError(f"no reward errors to compare. {' '.join(found[0].missing)}")
    shared = share(found)
    missing = [text for table in found if table.frames or table.table not in OPTIONAL for text in table.missing]
    return Gathered(sources, settings, shared, [*missing, *_without_selected(shared, settings), *shared.notes])


def _without_selected(shared: "Shared", settings: Mapping[str, Settings]) -> list[str]:
    """Experiments whose own selected encoder is not among their rows."""
    said = []
    for name, frame in shared.tables["reward_error"].frames.items():
        chosen = settings.get(name, {}).get("encoder")
        if chosen and canonical(chosen) not in set(frame.select("encoder").unique().collect(engine="streaming")["encoder"]):
            said.append(f"{name} selected {chosen} and has no rows of it.")
    return said


def index(gathered: Gathered) -> "pl.DataFrame":
    """experiment, revision, selected (encoder): one row a source."""
    import polars as pl

    chosen = {name: own.get("encoder") for name, own in gathered.settings.items()}
    rows = [(source.name, source.revision, chosen.get(source.name)) for source in gathered.sources]
    return pl.DataFrame(rows, schema={"experiment": pl.String, "revision": pl.String, "selected": pl.String}, orient="row")


def provenance(sources: "Iterable[Source]") -> dict[str, str]:
    """Of a revision its commit; of a folder the digest of its tables."""
    found = {}
    for source in sources:
        timeless = [table for table in TABLES if table != "costs"] if source.revision is None else []
        files = [path for table in timeless for path in source.find(f"results/{table}.parquet")]
        found[source.name] = f"commit {source.revision}" if source.revision else digest_of([sha256_file(path) for path in files])
    return found
