"""What the report shows beside the results: pictures of the looks, the data, the code's commit and the inputs' digests."""

import subprocess
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from datasets.errors import DataError
from datasets.manifest import verify
from pipeline.filmstrip import recorded_frames, strip_frames
from pipeline.params import Params

if TYPE_CHECKING:
    import polars as pl

    from analysis.evidence import Evidence
    from analysis.writer import Context

LOOK_STATISTICS = "look_statistics.parquet"


def look_statistics(frames: Path) -> "pl.DataFrame":
    """What each look of one task does to the pictures; no rows where only the default was rendered."""
    from analysis import tables

    return tables.scan_parts([frames / LOOK_STATISTICS], tables.LOOKS).collect()


def shown_beside(
    p: Params,
    frames: Mapping[str, Path],
    trajectories: Mapping[str, Path],
    digests: Mapping[str, str],
    traces: "pl.DataFrame",
    recordings: "pl.DataFrame",
    evidence: "Evidence",
    shown: dict[str, Any],
) -> "Context":
    """The looks, the data, what was measured beside reward error, and where everything comes from.

    Args:
        frames, trajectories: task -> folder. digests: of all inputs, by path.
        traces: `Results.traces`. recordings: `tables.RECORDINGS`. shown: the parameters that the page lists.
    """
    import json

    import polars as pl

    from analysis.behaviour import behaviour_table
    from analysis.page import Look
    from analysis.recordings import rollouts, wanted
    from analysis.writer import Context
    from datasets.frames import load_frames_index
    from datasets.manifest import digest_of
    from datasets.trajectories import load_trajectories

    looks, behaviour, expert = [], [], {}
    for task in p.tasks:
        index = load_frames_index(frames[task])
        sheet = frames[task] / "contact_sheet.png"
        if sheet.name not in verify(frames[task], only=sheet.name)["files"]:
            raise DataError(f"{frames[task]} has no {sheet.name}; remove it and run render again")
        caption = f"{task}, {index.size} × {index.size} pixels, {index.quality} rendering: the same states under every look."
        if task in p.imports:
            caption = f"{task}, {index.size} × {index.size} pixels, imported: one moment of a held-out episode."
        if task in p.environments:
            caption = (
                f"{task}, {index.size} × {index.size} pixels, drawn by {p.environments[task].make}: one moment of an episode."
            )
        statistics = look_statistics(frames[task])
        measured = statistics.drop("task", "variant", "body_contrast_default", "states").with_columns(pl.col(pl.Float64).round(3))
        looks.append(Look(task, sheet.read_bytes(), caption, measured))
        data = load_trajectories(trajectories[task])
        own = sorted(data.episodes(validation=False) + data.episodes(validation=True))  # without resized bodies
        returns = [float(data.reward[data.rows_of(e)].sum(dtype="float64")) for e in own]
        quality = [data.quality[e] for e in own]
        behaviour.append(behaviour_table(task, quality, data.validation[own].tolist(), returns))
        best = [r for r, q in zip(returns, quality, strict=True) if q == "expert"]
        if best:
            expert[task] = sum(best) / len(best)
    needed = {
        task: {frame for algorithm in p.algorithms for frame in wanted(rollouts(recordings, task, algorithm))} for task in p.tasks
    }
    return Context(
        preset=p.preset,
        confidence=p.report.confidence,
        looks=looks,
        behaviour=pl.concat(behaviour),
        expert_return=expert,
        provenance={"params.yaml (without compute and weights)": digest_of(shown), **digests},
        params=json.dumps(shown, indent=1),
        commit=commit(),
        evidence=evidence,
        frames={task: strip_frames(frames[task], traces.filter(task=task)) for task in p.tasks if task not in p.imports},
        recordings=recordings,
        recorded={task: recorded_frames(frames[task], needed[task]) for task in p.tasks},
    )


def commit() -> str:
    """Of the code in this folder, with a word on uncommitted changes; empty where Git knows nothing of it."""

    def git(*arguments: str) -> str:
        done = subprocess.run(["git", *arguments], capture_output=True, text=True, check=False)
        return done.stdout.strip() if done.returncode == 0 else ""

    head = git("rev-parse", "HEAD")
    changed = git("status", "--porcelain", "--untracked-files=no", "--", ".", ":!dvc.lock")
    return f"{head}, with uncommitted changes" if head and changed else head
