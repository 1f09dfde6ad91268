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
    import polars as pl

    from analysis.writer import Context

METRICS = Path("metrics.json")
RESULTS = Path("results")
DYNAMICS = "dynamics.parquet"
LOOK_STATISTICS = "look_statistics.parquet"


@dataclass(frozen=True)
class Inputs:
    """Folders to read, by canonical encoder name (selected first) and by task."""

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
                missing.append(f"Online learning of {algorithm} is not there yet: {encoder} was not fine-tuned on {task}.")
            if folder.is_dir():
                online.setdefault(encoder, []).append(folder)
            else:
                missing.append(f"{encoder} was not fine-tuned on {task} ({algorithm}): {folder} is missing.")
    if not online:
        raise DataError(f"{missing[0]} Run `dvc repro`")
    tasks = {task: Path("data/frames") / task for task in p.tasks}
    return Inputs(parts, probes, online, tasks, {task: Path("data/trajectories") / task for task in p.tasks}, missing)


def _report(p: Params, inputs: Inputs, shown: dict[str, Any], result: Path) -> None:
    import polars as pl

    from analysis import tables
    from analysis.measures import BINS, measures, reliability
    from analysis.claims import judge
    from analysis.metrics import metrics
    from analysis.resample import Resampling
    from analysis.results import summarise, summary_table
    from analysis.writer import write_report

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
    known = {"properties": encoder_properties(), "dynamics": _dynamics(every_part)}
    claims = judge(results.sums, online, how, p.claims.effects, **known)
    context = _context(p, inputs, shown)
    write_report(results, context, result)

    paths = [path for files in reward_error.values() for path in files]
    parts = [tables.scan_parts([path], tables.REWARD_ERROR) for path in paths]
    outputs: dict[str, pl.DataFrame | pl.LazyFrame] = {
        "reward_error": tables.scan_parts(paths, tables.REWARD_ERROR),
        "summary": summary_table(results),
        "measures": pl.concat([measures(part, p.evaluate.horizon, how, p.report.event) for part in parts]),
        "reliability": pl.concat([reliability(part, BINS, how) for part in parts]),
        "learning": learning,
        "online": online,
        "looks": pl.concat([look_statistics(folder) for folder in inputs.frames.values()]),
        "dynamics": tables.scan_parts([f / "dynamics.parquet" for f in every_part], tables.DYNAMICS),
        "calibration": tables.scan_parts([f / "calibration.parquet" for f in every_part], tables.CALIBRATION),
        "probes": tables.scan_parts([f / "probes.parquet" for f in probed], tables.PROBES),
        "properties": tables.scan_parts([f / "properties.parquet" for f in probed], tables.PROPERTIES),
        "encoders": tables.encoders_table([f / "encoder.parquet" for f in probed]),
        "costs": tables.costs_table(costs()),
        "claims": claims,
    }
    for name, table in outputs.items():
        with replacing(RESULTS / f"{name}.parquet") as path:
            tables.write_table(table, path)
    write_json(METRICS, metrics(results, context.expert_return))
    log(f"report: {Path('report/index.html').resolve()}")


def encoder_properties() -> "pl.DataFrame":
    """Every registered encoder: encoder, architecture, objective, data, images, language, temporal."""
    import polars as pl

    from pipeline.encoders.registry import list_encoders

    names = ("architecture", "objective", "data", "images", "language", "temporal")
    rows = [{"encoder": info.name} | {name: getattr(info, name) for name in names} for info in list_encoders()]
    return pl.DataFrame(rows, infer_schema_length=None)


def _dynamics(parts: list[Path]) -> "pl.DataFrame | None":
    """Errors of predicted dynamics, of those parts that have them."""
    import polars as pl

    tables = [pl.read_parquet(f / DYNAMICS) for f in parts if (f / DYNAMICS).is_file()]
    return pl.concat(tables, how="diagonal_relaxed") if tables else None


def look_statistics(frames: Path) -> "pl.DataFrame":
    """What each look of one task does to the pictures; no rows where only the default was rendered."""
    from analysis import tables

    return tables.scan_parts([frames / LOOK_STATISTICS], tables.LOOKS).collect()


def _context(p: Params, inputs: Inputs, shown: dict[str, Any]) -> "Context":
    """What the page says besides the results: the looks, the data, and where everything comes from."""
    import json

    import polars as pl

    from analysis.behaviour import behaviour_table
    from analysis.page import Look
    from analysis.writer import Context
    from datasets.frames import load_frames_index
    from datasets.manifest import digest_of
    from datasets.trajectories import load_trajectories

    looks, behaviour, expert = [], [], {}
    for task in p.tasks:
        index = load_frames_index(inputs.frames[task])
        sheet = inputs.frames[task] / "contact_sheet.png"
        if sheet.name not in verify(inputs.frames[task], only=sheet.name)["files"]:
            raise DataError(f"{inputs.frames[task]} has no {sheet.name}; remove it and run render again")
        caption = f"{task}, {index.size} × {index.size} pixels, {index.quality} rendering: the same states under every look."
        if task in p.imports:
            caption = f"{task}, {index.size} × {index.size} pixels, imported: one moment of a held-out episode."
        statistics = look_statistics(inputs.frames[task])
        measured = statistics.drop("task", "variant", "body_contrast_default", "states").with_columns(pl.col(pl.Float64).round(3))
        looks.append(Look(task, sheet.read_bytes(), caption, measured))
        data = load_trajectories(inputs.trajectories[task])
        own = sorted(data.episodes(validation=False) + data.episodes(validation=True))  # without resized bodies
        returns = [float(data.reward[data.rows_of(e)].sum(dtype="float64")) for e in own]
        quality = [data.quality[e] for e in own]
        behaviour.append(behaviour_table(task, quality, data.validation[own].tolist(), returns))
        best = [r for r, q in zip(returns, quality, strict=True) if q == "expert"]
        if best:
            expert[task] = sum(best) / len(best)
    return Context(
        preset=p.preset,
        confidence=p.report.confidence,
        looks=looks,
        behaviour=pl.concat(behaviour),
        expert_return=expert,
        provenance={"params.yaml (without compute and weights)": digest_of(shown), **inputs.digests},
        params=json.dumps(shown, indent=1),
    )


def _code() -> list[str]:
    root = Path(__file__).resolve().parent.parent
    files = sorted(f.relative_to(root).as_posix() for f in (root / "analysis").rglob("*") if f.is_file() and f.suffix != ".pyc")
    return ["pipeline/report.py", *files]


if __name__ == "__main__":
    run(main)
