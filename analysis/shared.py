"""What experiments share. References come from cache, so every experiment of a sweep holds the same rows of them.

Two experiments' rows of one model (encoder, task, algorithm, seed) are equal if every value is. Equal ones are kept once. Where
they, or the presets' names, differ, the representation is kept apart for each, as `ENCODER@EXPERIMENT`; else seeds that only one
experiment has are pooled with the others'. Where the data differ (other episodes, looks or rewards, so that errors cannot be
paired), the task is kept apart, as `TASK@EXPERIMENT`.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

import polars as pl

from analysis.experiments import EXPERIMENT, Experiments

APART = "@"
MODEL = ("encoder", "task", "algorithm", "seed")
DATA = ("variant", "axis", "severity", "split", "quality", "episode", "t", "horizon", "reward")
Key = tuple[object, ...]


def base(label: str) -> str:
    """The name of a representation or task without the experiment it was kept apart for."""
    return label.split(APART)[0]


@dataclass(frozen=True)
class Part:
    """Rows of one model that are kept: in which experiment they lie, and what encoder and task are called."""

    experiment: str
    model: Mapping[str, object]
    encoder: str
    task: str


@dataclass(frozen=True)
class Shared:
    """Several tables of the same experiments, each row once.

    Attributes:
        parts: table -> what is kept of it, in order.
        owners: label of a representation -> the first experiment it is from.
        notes: sentences about what was kept apart.
    """

    tables: Mapping[str, Experiments]
    parts: Mapping[str, list[Part]]
    owners: Mapping[str, str]
    notes: list[str]

    def rows(self, table: str, encoder: str | None = None, task: str | None = None, algorithm: str | None = None) -> pl.LazyFrame:
        """Rows of a table, of one representation, task or algorithm where it is named (by its label)."""
        if table not in self.parts:  # about no model: equal rows of several experiments once
            every = self.tables[table].rows
            return every.unique([c for c in every.collect_schema() if c != EXPERIMENT], keep="first", maintain_order=True)
        wanted = {"encoder": encoder, "task": task}
        chosen = [
            part
            for part in self.parts[table]
            if all(value in (None, getattr(part, name)) for name, value in wanted.items())
            and algorithm in (None, part.model.get("algorithm"))
        ]
        frames = [
            self.tables[table].frames[part.experiment]
            .filter(pl.col(name) == pl.lit(value) for name, value in part.model.items())
            .with_columns(encoder=pl.lit(part.encoder), task=pl.lit(part.task))
            for part in chosen
        ]  # fmt: skip
        return pl.concat(frames, how="diagonal_relaxed") if frames else self.tables[table].rows.clear()


def share(tables: Iterable[Experiments]) -> Shared:
    """Find what the experiments share, by one pass over each table, of any size."""
    named = {found.table: found for found in tables if found.frames}
    rows = {name: prints for name, found in named.items() if (prints := fingerprints(found)) is not None}
    versions = _data_versions(rows.get("reward_error"))
    clusters: dict[object, list[tuple[list[str], dict[Key, object]]]] = {}
    contents: dict[tuple[str, object], dict[Key, object]] = {}
    for table, prints in rows.items():
        for row in prints.iter_rows(named=True):
            version = versions.get((row[EXPERIMENT], row["task"]))
            key = (table, version, *(row.get(name) for name in MODEL))
            own = contents.setdefault((row[EXPERIMENT], row["encoder"]), {})
            own[key] = row["content"]
            own |= {("preset",): row["preset"]} if row.get("preset") else {}
    order = {name: i for i, name in enumerate(dict.fromkeys(e for found in named.values() for e in found.frames))}
    for (experiment, encoder), own in sorted(contents.items(), key=lambda item: order[item[0][0]]):
        groups = clusters.setdefault(encoder, [])
        agreeing = (group for group in groups if all(group[1].get(key, value) == value for key, value in own.items()))
        experiments, known = next(agreeing, ([], {}))
        if not experiments:
            groups.append((experiments, known))
        experiments.append(experiment)
        known.update(own)
    labels, owners, notes = _labels(clusters)
    tasks, said = _task_labels(versions)
    parts = {name: _kept(prints, labels, tasks) for name, prints in rows.items()}
    return Shared(named, parts, owners, notes + said)


def fingerprints(found: Experiments) -> pl.DataFrame | None:
    """EXPERIMENT, those of MODEL that the table has, `preset`, `content` (sum of its rows' hashes), `data` (that of DATA alone).

    None of a table that is about no model. Sums do not depend on the order of rows; equal numbers of unequal rows have a
    probability of about 2^-64.
    """
    tables = []
    for frame in found.frames.values():
        names = frame.collect_schema().names()
        keys = [name for name in MODEL if name in names]
        if "encoder" not in keys:
            return None
        content = pl.struct(sorted(set(names) - {EXPERIMENT})).hash(seed=1)
        data = pl.struct(DATA).hash(seed=2) if set(DATA) <= set(names) else pl.lit(0, pl.UInt64)
        preset = pl.col("preset").first() if "preset" in names else pl.lit(None, pl.String).alias("preset")
        grouped = frame.with_columns(content=content, data=data).group_by(EXPERIMENT, *keys)
        tables.append(grouped.agg(pl.col("content", "data").sum(), preset).sort(keys).collect(engine="streaming"))
    return pl.concat(tables, how="diagonal_relaxed")


def _data_versions(prints: pl.DataFrame | None) -> dict[tuple[str, str], tuple[str, object]]:
    """(experiment, task) -> its data: the first experiment that has the same, and a number."""
    first: dict[tuple[str, object], str] = {}
    found: dict[tuple[str, str], tuple[str, object]] = {}
    if prints is None:
        return found
    for row in prints.iter_rows(named=True):
        data = (row["task"], row["data"])
        found.setdefault((row[EXPERIMENT], row["task"]), (first.setdefault(data, row[EXPERIMENT]), row["data"]))
    return found


def _task_labels(versions: Mapping[tuple[str, str], tuple[str, object]]) -> tuple[dict[tuple[str, str], str], list[str]]:
    labels, notes = {}, []
    for task in dict.fromkeys(task for _, task in versions):
        own = {experiment: version for (experiment, t), version in versions.items() if t == task}
        several = len(set(own.values())) > 1
        for experiment, (first, _) in own.items():
            labels[experiment, task] = f"{task}{APART}{first}" if several else task
        if several:
            kept = ", ".join(dict.fromkeys(labels[experiment, task] for experiment in own))
            notes.append(f"The data of {task} are not the same in {_and(own)}: kept apart as {kept}.")
    return labels, notes


def _labels(
    clusters: Mapping[object, list[tuple[list[str], dict[Key, object]]]],
) -> tuple[dict[tuple[str, object], str], dict[str, str], list[str]]:
    labels, owners, notes = {}, {}, []
    for encoder, groups in clusters.items():
        names = []
        for experiments, _ in groups:
            label = f"{encoder}{APART}{experiments[0]}" if len(groups) > 1 else str(encoder)
            owners[label] = experiments[0]
            names.append(label)
            labels.update({(experiment, encoder): label for experiment in experiments})
        if len(groups) > 1:
            who = _and([experiment for experiments, _ in groups for experiment in experiments])
            notes.append(f"{encoder} is not the same in {who}: kept apart as {', '.join(names)}.")
    return labels, owners, notes


def _kept(prints: pl.DataFrame, labels: Mapping[tuple[str, object], str], tasks: Mapping[tuple[str, str], str]) -> list[Part]:
    """Every model once: from the first experiment that has it."""
    kept: dict[Key, Part] = {}
    keys = [name for name in MODEL if name in prints.columns]
    for row in prints.iter_rows(named=True):
        experiment, model = row[EXPERIMENT], {name: row[name] for name in keys}
        label, task = labels[experiment, row["encoder"]], tasks.get((experiment, row["task"]), row["task"])
        kept.setdefault((label, task, *list(model.values())[2:]), Part(experiment, model, label, task))
    return list(kept.values())


def _and(names: Iterable[str]) -> str:
    *most, last = list(names)
    return f"{', '.join(most)} and {last}" if most else last
