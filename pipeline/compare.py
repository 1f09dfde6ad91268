"""Compare experiments: one report, and the gathered tables, over all of them.

    python -m pipeline.compare workspace exp-vc1 exp-clip
    python -m pipeline.compare main ../other/project --out comparison/two

A source is `workspace`, a folder that holds `results/`, or a revision: a commit, branch, tag, or the name of a DVC experiment,
read from DVC's cache without checking it out. Writes OUT/index.html with its figures, OUT/results/*.parquet (the tables of all
sources, each row once, and `claims`). What could not be read is said on the page. `report`, `claims` and `seed` of params.yaml
say how intervals are made and what counts.
"""

import shutil
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from datasets.errors import DataError, UserError
from datasets.manifest import digest_of, read_manifest, write_manifest
from pipeline.gather import OPTIONAL, Gathered, gather, index, provenance
from pipeline.log import log, track
from pipeline.params import Params, load_params
from pipeline.settings import differing, integrations
from pipeline.stage import run_app, verbatim
from pipeline.work import replacing_folder

if TYPE_CHECKING:
    import polars as pl

    from analysis.results import Results
    from analysis.shared import Shared

STAGE = "compare"
app = typer.Typer(add_completion=False, pretty_exceptions_enable=False, rich_markup_mode=None)


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
    with replacing_folder(out) as staged:
        (staged / "results").mkdir(parents=True)
        _write(gathered, staged, p)
        write_manifest(staged, {"stage": STAGE, "sources": provenance(gathered.sources)})
    for sentence in gathered.missing:
        log(sentence)
    log(f"comparison: {(out / 'index.html').resolve()}")


def _write(gathered: Gathered, folder: Path, p: Params) -> None:
    import json

    import polars as pl

    from analysis.conclusions import concluded
    from analysis.evidence import gathered as gathered_evidence
    from analysis.resample import Resampling
    from analysis.results import summarise, summary_table
    from analysis.tables import ONLINE, write_table
    from analysis.writer import Context, write_report
    from pipeline.properties import encoder_properties
    from pipeline.showing import commit

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
    measured = {name: shared.rows(name).drop("experiment").collect() for name in OPTIONAL if name in tables}
    if "dynamics" in measured:
        known["dynamics"] = measured["dynamics"]
    paths = [path for files in parts.values() for path in files]
    found = concluded(paths, results, short, how, p.report.event, p.claims.effects, **known)
    evidence = gathered_evidence(measured | found | {"encoders": known["properties"]}, results, how, {})
    tables |= {"summary": summary_table(results), **found}
    tables["reward_error"] = pl.concat([pl.scan_parquet(path) for path in paths])
    tables["experiments"] = index(gathered)
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
        provenance=provenance(gathered.sources),
        params=json.dumps(shown, indent=1),
        commit=commit(),
        evidence=evidence,
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


def _is_comparison(folder: Path) -> bool:
    try:
        return read_manifest(folder)["meta"].get("stage") == STAGE
    except DataError:
        return not any(folder.iterdir()) if folder.is_dir() else False


if __name__ == "__main__":
    run_app(app)
