"""Compare experiments: one report, and the gathered tables, over all of them.

    python -m pipeline.compare workspace exp-vc1 exp-clip
    python -m pipeline.compare main ../other/project --out comparison/two

A source is `workspace`, a folder that holds `results/`, or a revision: a commit, branch, tag, or the name of a DVC experiment,
read from DVC's cache without checking it out. Writes OUT/index.html with its figures, OUT/results/*.parquet (the tables of all
sources, each row once, and `claims`). What could not be read is said on the page. `report`, `claims` and `seed` of params.yaml
say how intervals are made and what counts.
"""

import shutil
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from datasets.errors import DataError, UserError
from datasets.manifest import digest_of, read_manifest, sha256_file, write_manifest
from pipeline.log import log, track
from pipeline.params import Params, canonical, load_params
from pipeline.settings import Settings, differing, flat, integrations
from pipeline.stage import run_app, verbatim

if TYPE_CHECKING:
    import polars as pl

    from analysis.results import Results
    from analysis.shared import Shared
    from analysis.sources import Source

STAGE = "compare"
TABLES = ("reward_error", "online", "learning", "dynamics", "looks", "costs")
app = typer.Typer(add_completion=False, pretty_exceptions_enable=False, rich_markup_mode=None)


@dataclass(frozen=True)
class Gathered:
    """The sources and what they hold. `missing`: sentences about what they do not, or what was kept apart."""

    sources: "list[Source]"
    settings: dict[str, Settings]
    shared: "Shared"
    missing: list[str]


@app.command(help=verbatim(__doc__ or ""))
def main(
    sources: Annotated[list[str], typer.Argument()],
    out: Annotated[Path, typer.Option()] = Path("comparison"),
    params: Annotated[Path, typer.Option()] = Path("params.yaml"),
) -> None:
    compare(sources, out, load_params(params))


def compare(names: list[str], out: Path, p: Params) -> None:
    """Write the comparison of `names` to `out`, whole or not at all.

    Raises:
        UserError: a source stands for nothing, none has results, or `out` holds something else.
    """
    if out.exists() and not _is_comparison(out):
        raise UserError(f"{out} is there and is no comparison; choose another --out, or remove it")
    gathered = gather(names)
    staged, old = out.with_name(f".{out.name}.new"), out.with_name(f".{out.name}.old")
    for leftover in (staged, old):
        shutil.rmtree(leftover, ignore_errors=True)
    (staged / "results").mkdir(parents=True)
    _write(gathered, staged, p)
    write_manifest(staged, {"stage": STAGE, "sources": _provenance(gathered.sources)})
    if out.exists():
        out.replace(old)
    staged.replace(out)
    shutil.rmtree(old, ignore_errors=True)
    for sentence in gathered.missing:
        log(sentence)
    log(f"comparison: {(out / 'index.html').resolve()}")


def gather(names: list[str], root: Path = Path(".")) -> Gathered:
    """Resolve sources and scan their tables."""
    from analysis.experiments import distinct, scan
    from analysis.shared import share
    from analysis.sources import resolve

    sources = [resolve(name, root) for name in track(distinct(names), len(names), "experiment", STAGE)]
    settings = {source.name: flat(source.params, source.name) for source in sources if source.params is not None}
    found = [scan(sources, table) for table in TABLES]
    if not found[0].frames:
        raise DataError(f"no reward errors to compare. {' '.join(found[0].missing)}")
    shared = share(found)
    optional = {"dynamics"} if not found[TABLES.index("dynamics")].frames else set()
    missing = [text for table in found if table.table not in optional for text in table.missing]
    return Gathered(sources, settings, shared, [*missing, *_without_selected(shared, settings), *shared.notes])


def _without_selected(shared: "Shared", settings: Mapping[str, Settings]) -> list[str]:
    """Experiments whose own selected encoder is not among their rows."""
    said = []
    for name, frame in shared.tables["reward_error"].frames.items():
        chosen = settings.get(name, {}).get("encoder")
        if chosen and canonical(chosen) not in set(frame.select("encoder").unique().collect(engine="streaming")["encoder"]):
            said.append(f"{name} selected {chosen} and has no rows of it.")
    return said


def _write(gathered: Gathered, folder: Path, p: Params) -> None:
    import json

    import polars as pl

    from analysis.claims import judge
    from analysis.resample import Resampling
    from analysis.results import summarise, summary_table
    from analysis.tables import ONLINE, write_table
    from analysis.writer import Context, write_report
    from pipeline.properties import encoder_properties

    shared, how = gathered.shared, Resampling(p.report.bootstrap, p.report.confidence, p.seed)
    tables: dict[str, pl.DataFrame | pl.LazyFrame] = {name: shared.rows(name) for name in shared.tables if name != "reward_error"}
    online = shared.rows("online").drop("experiment").collect() if "online" in tables else pl.DataFrame(schema=ONLINE)
    learning = _learning(shared)
    parts = _parts(shared, folder / "parts")
    horizons = [own["evaluate.horizon"] for own in gathered.settings.values() if "evaluate.horizon" in own]
    short = min(horizons, default=p.evaluate.horizon)

    def progress(paths: Iterable[Path], total: int) -> Iterable[Path]:
        return track(paths, total, "part", STAGE)

    results = summarise(parts, learning, online, short, how, gathered.missing, progress)
    known: dict[str, Any] = {"properties": encoder_properties(), "options": integrations(shared.owners, gathered.settings)}
    if "dynamics" in tables:
        known["dynamics"] = shared.rows("dynamics").collect()
    tables |= {"summary": summary_table(results), "claims": judge(results.sums, online, how, p.claims.effects, **known)}
    tables["reward_error"] = pl.concat([pl.scan_parquet(path) for files in parts.values() for path in files])
    tables["experiments"] = _index(gathered)
    for name, table in tables.items():
        write_table(table, folder / "results" / f"{name}.parquet")
    shutil.rmtree(folder / "parts")
    behaviour, expert = _behaviour(results)
    shown = {"report": p.report.model_dump(), "claims": p.claims.model_dump(), "experiments": differing(gathered.settings)}
    presets = dict.fromkeys(str(own["preset"]) for own in gathered.settings.values() if "preset" in own)
    context = Context(
        preset=" · ".join(presets) or "unknown",
        confidence=p.report.confidence,
        looks=[],
        behaviour=behaviour,
        expert_return=expert,
        provenance=_provenance(gathered.sources),
        params=json.dumps(shown, indent=1),
    )
    write_report(results, context, folder)


def _parts(shared: "Shared", folder: Path) -> dict[str, list[Path]]:
    """Rows of each representation, task and algorithm in a file of their own, the selected representations first."""
    from analysis.experiments import REFERENCES
    from analysis.shared import base
    from analysis.tables import write_table

    cells = dict.fromkeys((part.encoder, part.task, str(part.model["algorithm"])) for part in shared.parts["reward_error"])
    files: dict[str, list[Path]] = {}
    for encoder, task, algorithm in sorted(cells, key=lambda cell: base(cell[0]) in REFERENCES):
        path = folder / f"{digest_of([encoder, task, algorithm])[:24]}.parquet"
        path.parent.mkdir(exist_ok=True)
        write_table(shared.rows("reward_error", encoder, task, algorithm), path)
        files.setdefault(encoder, []).append(path)
    return files


def _learning(shared: "Shared") -> "pl.DataFrame":
    import polars as pl

    from analysis.tables import LEARNING

    if "learning" not in shared.tables:
        return pl.DataFrame(schema=LEARNING)
    return shared.rows("learning").drop("experiment").collect()


def _behaviour(results: "Results") -> "tuple[pl.DataFrame, dict[str, float]]":
    """Returns of the held-out episodes by quality, and those of experts, from the true rewards."""
    import polars as pl

    from analysis.behaviour import behaviour_table
    from analysis.claims.runs import episode_returns

    tables: list[pl.DataFrame] = []
    expert: dict[str, float] = {}
    for (task,), own in episode_returns(results.sums).partition_by("task", as_dict=True, maintain_order=True).items():
        tables.append(behaviour_table(str(task), own["quality"].to_list(), [True] * len(own), own["return"].to_list()))
        best = own.filter(quality="expert")["return"]
        expert |= {str(task): float(best.mean())} if len(best) else {}  # type: ignore[arg-type]
    return pl.concat(tables), expert


def _index(gathered: Gathered) -> "pl.DataFrame":
    """experiment, revision, selected (encoder): one row a source."""
    import polars as pl

    chosen = {name: own.get("encoder") for name, own in gathered.settings.items()}
    rows = [(source.name, source.revision, chosen.get(source.name)) for source in gathered.sources]
    return pl.DataFrame(rows, schema={"experiment": pl.String, "revision": pl.String, "selected": pl.String}, orient="row")


def _provenance(sources: "Iterable[Source]") -> dict[str, str]:
    """Of a revision its commit; of a folder the digest of its tables."""
    found = {}
    for source in sources:
        timeless = [table for table in TABLES if table != "costs"] if source.revision is None else []
        files = [path for table in timeless for path in source.find(f"results/{table}.parquet")]
        found[source.name] = f"commit {source.revision}" if source.revision else digest_of([sha256_file(path) for path in files])
    return found


def _is_comparison(folder: Path) -> bool:
    try:
        return read_manifest(folder)["meta"].get("stage") == STAGE
    except DataError:
        return not any(folder.iterdir()) if folder.is_dir() else False


if __name__ == "__main__":
    run_app(app)
