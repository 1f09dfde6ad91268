"""Gather the tables, draw the conclusions, write one page.

    python -m pipeline.report

Reads the parts of the selected encoder and the references (`results/parts`, `results/probes`, `results/online`), the looks and
the returns of the data. Writes `report/index.html` with its figures and plot tables, `results/*.parquet` and `metrics.json`.
Tiny variant: the same command with `report.bootstrap: 50` in params.yaml.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from datasets.errors import DataError
from datasets.manifest import digest, verify, write_json
from pipeline.finetune import LEARNS_ONLINE
from pipeline.log import log, track
from pipeline.params import Params, canonical, load_params
from pipeline.stage import run
from pipeline.work import code_digest, costs, open_work, replacing

if TYPE_CHECKING:
    pass

_OWN = ("report", "filmstrip", "manifold", "properties", "showing")
COVERAGE = "docs/results/coverage.parquet"  # how far intervals can be trusted
METRICS = Path("metrics.json")
RESULTS = Path("results")


@dataclass(frozen=True)
class Inputs:
    """Folders to read, by canonical encoder name (selected first) and by task.

    Attributes:
        names: name in paths -> canonical name.
        missing: sentences on what is not there.
    """

    names: dict[str, str]
    parts: dict[str, list[Path]]
    probes: dict[str, list[Path]]
    online: dict[str, list[Path]]
    frames: dict[str, Path]
    trajectories: dict[str, Path]
    missing: list[str]

    @property
    def digests(self) -> dict[str, str]:
        """Path -> digest of what it holds."""
        folders = [f for group in (self.parts, self.probes, self.online) for chosen in group.values() for f in chosen]
        return {f.as_posix(): digest(f) for f in (*self.trajectories.values(), *self.frames.values(), *folders)}


def main(params: Path = Path("params.yaml")) -> None:
    p = load_params(params)
    inputs = find_inputs(p)
    shown = p.model_dump(mode="json", by_alias=True, exclude={"compute", "weights", "study"})  # which tables do not depend on
    key = {"params": shown, "inputs": inputs.digests, "missing": inputs.missing, "code": code_digest(*_code())}
    with open_work("report", Path("report"), key) as work:
        if work is not None:
            _report(p, inputs, shown, work.result)


def find_inputs(p: Params) -> Inputs:
    """The folders that the selected encoder and the references fill.

    Raises:
        DataError: a part is missing, or no representation was fine-tuned at all. One missing online part is noted instead.
    """
    names = {canonical(name): name for name in reversed(p.references)}  # the first of two names for the same one wins
    names = {encoder: names[encoder] for encoder in dict.fromkeys(canonical(name) for name in p.references)}
    cells = [(task, algorithm) for task in p.tasks for algorithm in p.algorithms]
    parts = {encoder: [RESULTS / "parts" / name / t / a for t, a in cells] for encoder, name in names.items()}
    probes = {encoder: [RESULTS / "probes" / name / task for task in p.tasks] for encoder, name in names.items()}
    online: dict[str, list[Path]] = {}
    missing = []
    for encoder in dict.fromkeys([canonical(p.encoder), "scratch"]):
        for task, algorithm in cells:
            folder = RESULTS / "online" / names[encoder] / task / algorithm
            if task in p.imports:
                missing.append(f"{task} is imported and has no environment: {encoder} was not fine-tuned on it ({algorithm}).")
            elif algorithm not in LEARNS_ONLINE:
                missing.append(f"{algorithm} has no agent: {encoder} was not fine-tuned on {task}.")
            if folder.is_dir():
                online.setdefault(encoder, []).append(folder)
            else:
                missing.append(f"{encoder} was not fine-tuned on {task} ({algorithm}): {folder} is missing.")
    if not online:
        raise DataError(f"{missing[0]} Run `dvc repro`")
    of_paths = {name: encoder for encoder, name in names.items()}
    frames, trajectories = ({task: Path(f"data/{what}") / task for task in p.tasks} for what in ("frames", "trajectories"))
    return Inputs(of_paths, parts, probes, online, frames, trajectories, missing)


def _report(p: Params, inputs: Inputs, shown: dict[str, Any], result: Path) -> None:
    import polars as pl

    from analysis import tables
    from analysis.conclusions import concluded
    from analysis.evidence import gathered
    from analysis.metrics import metrics
    from analysis.resample import Resampling
    from analysis.results import summarise, summary_table
    from analysis.writer import write_report
    from pipeline.manifold import picture
    from pipeline.properties import encoder_properties
    from pipeline.showing import look_statistics, shown_beside

    for folders in (*inputs.parts.values(), *inputs.probes.values(), *inputs.online.values()):
        for folder in folders:
            verify(folder)
    reward_error = {encoder: [f / "reward_error.parquet" for f in folders] for encoder, folders in inputs.parts.items()}
    every_part, probed = ([f for folders in of.values() for f in folders] for of in (inputs.parts, inputs.probes))
    learning = tables.scan_parts([f / "learning.parquet" for f in every_part], tables.LEARNING).collect()
    online_parts = [f / "online.parquet" for folders in inputs.online.values() for f in folders]
    online = tables.scan_parts(online_parts, tables.ONLINE).collect()
    how = Resampling(p.report.bootstrap, p.report.confidence, p.seed)

    def progress(paths: Iterable[Path], total: int) -> Iterable[Path]:
        return track(paths, total, "part", "report")

    results = summarise(reward_error, learning, online, p.evaluate.horizon, how, inputs.missing, progress)
    paths = [path for files in reward_error.values() for path in files]
    measured: dict[str, pl.DataFrame] = {
        "learning": learning,
        "online": online,
        "dynamics": tables.scan_parts([f / "dynamics.parquet" for f in every_part], tables.DYNAMICS).collect(),
        "calibration": tables.scan_parts([f / "calibration.parquet" for f in every_part], tables.CALIBRATION).collect(),
        "recordings": tables.scan_parts([f / "recordings.parquet" for f in every_part], tables.RECORDINGS).collect(),
        "probes": tables.scan_parts([f / "probes.parquet" for f in probed], tables.PROBES).collect(),
        "properties": tables.scan_parts([f / "properties.parquet" for f in probed], tables.PROPERTIES).collect(),
        "encoders": tables.encoders_table([f / "encoder.parquet" for f in probed]),
        "costs": tables.costs_table(costs()),
        "manifold": pl.concat([picture(folder, p.seed) for folder in track(probed, len(probed), "picture", "report")]),
    }
    known = {"properties": encoder_properties(), "dynamics": measured["dynamics"]}
    measured |= concluded(paths, results, p.evaluate.horizon, how, p.report.event, p.claims.effects, **known)
    evidence = gathered(measured, results, how, inputs.names)
    pictured = results.traces, measured["recordings"]
    context = shown_beside(p, inputs.frames, inputs.trajectories, inputs.digests, *pictured, evidence, shown)
    write_report(results, context, result)

    outputs: dict[str, pl.DataFrame | pl.LazyFrame] = {
        "reward_error": tables.scan_parts(paths, tables.REWARD_ERROR),
        "summary": summary_table(results),
        "looks": pl.concat([look_statistics(folder) for folder in inputs.frames.values()]),
        **measured,
    }
    for name, table in outputs.items():
        with replacing(RESULTS / f"{name}.parquet") as path:
            tables.write_table(table, path)
    write_json(METRICS, metrics(results, context.expert_return))
    log(f"report: {Path('report/index.html').resolve()}")


def _code() -> list[str]:
    root = Path(__file__).resolve().parent.parent
    files = sorted(f.relative_to(root).as_posix() for f in (root / "analysis").rglob("*") if f.is_file() and f.suffix != ".pyc")
    return [*(f"pipeline/{name}.py" for name in _OWN), COVERAGE, *files]


if __name__ == "__main__":
    run(main)
