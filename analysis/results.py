"""All that the report concludes from, computed once from the tables."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import polars as pl

from analysis.baselines import baseline_sums
from analysis.errors import contrasts, errors_by
from analysis.resample import Resampling
from analysis.sums import bin_sums, check_paired, episode_sums
from analysis.tables import REWARD_ERROR, scan_parts
from analysis.traces import traces

SCRATCH = "scratch"
REWARD_BINS = 8
LOOK_KEYS = ("axis", "severity", "split", "horizon", "horizon_to")


@dataclass(frozen=True)
class Results:
    """Aggregates; every table is tidy and sorted.

    Attributes:
        encoders: canonical names, the selected one first.
        short: horizons 0..short were predicted from every start.
        looks: errors by axis, severity, split and horizon, baselines among them (`errors.errors_by`).
        quality: filtering errors by axis, severity, split and quality of the behaviour.
        rewards: filtering errors under the default look by bin of the true reward.
        contrasts: differences from `scratch` (`errors.contrasts`).
        traces: predicted and true reward over time, of one episode per quality (`traces.traces`).
        learning, online: the stages' tables, all representations together.
        missing: what could not be shown, and why.
        sums: of the models' predictions by episode (`sums.episode_sums`), which claims are judged by.
    """

    encoders: list[str]
    short: int
    looks: pl.DataFrame
    quality: pl.DataFrame
    rewards: pl.DataFrame
    contrasts: pl.DataFrame
    traces: pl.DataFrame
    learning: pl.DataFrame
    online: pl.DataFrame
    missing: list[str] = field(default_factory=list)
    sums: pl.DataFrame = field(default_factory=pl.DataFrame)

    @property
    def held_out(self) -> pl.DataFrame:
        """`looks` without those shifted looks that models may have trained on."""
        return self.looks.filter((pl.col("axis") == "default") | (pl.col("split") == "ood"))

    @property
    def selected(self) -> str:
        return self.encoders[0]

    @property
    def cells(self) -> list[tuple[str, str]]:
        """Every (task, algorithm), in alphabetical order."""
        models = self.looks.filter(pl.col("algorithm") != "none")
        return models.select("task", "algorithm").unique().sort("task", "algorithm").rows()

    @property
    def seeds(self) -> int:
        """Models per representation."""
        return int(self.looks.filter(pl.col("algorithm") != "none")["seeds"].min())  # type: ignore[arg-type]


def summarise(
    parts: Mapping[str, Sequence[Path]],
    learning: pl.DataFrame,
    online: pl.DataFrame,
    short: int,
    how: Resampling,
    missing: list[str],
    track: Callable[[Iterable[Path], int], Iterable[Path]],
) -> Results:
    """Compute `Results` from the reward-error parts.

    Args:
        parts: encoder -> its `reward_error.parquet` files, the selected encoder first.
        track: passes on its first argument and tells the user how far it got.

    Raises:
        DataError: a part is damaged, or the parts cannot be compared.
    """
    paths = [path for files in parts.values() for path in files]
    everything = scan_parts(paths, REWARD_ERROR)
    limits = everything.group_by("task").agg(low=pl.col("reward").min(), high=pl.col("reward").max()).collect()
    reward_limits = {task: (float(low), float(high)) for task, low, high in limits.rows()}
    sums, baselines, bins, over_time = [], {}, [], []
    for path in track(paths, len(paths)):
        part = scan_parts([path], REWARD_ERROR)
        of_part = episode_sums(part, short)
        task = of_part["task"][0]
        sums.append(of_part)
        bins.append(bin_sums(part.filter(pl.col("axis") == "default"), *reward_limits[task], REWARD_BINS))
        over_time.append(traces(part, short))
        if task not in baselines:
            baselines[task] = baseline_sums(part, short)
    models = pl.concat(sums)
    check_paired(models)
    together = pl.concat([models, *baselines.values()])
    shown = min(short, int(models["horizon"].max()))  # type: ignore[arg-type]
    return Results(
        encoders=list(parts),
        short=shown,
        looks=errors_by(together, LOOK_KEYS, how),
        quality=errors_by(together.filter(pl.col("horizon") == 0), ("axis", "severity", "split", "quality"), how),
        rewards=errors_by(pl.concat(bins), ("axis", "severity", "split", "reward_from", "reward_to"), how),
        contrasts=contrasts(models, SCRATCH, sorted({0, shown}), how),
        traces=pl.concat(over_time),
        learning=learning,
        online=online,
        missing=missing,
        sums=models,
    )


def summary_table(results: Results) -> pl.DataFrame:
    """The error aggregates as one table; `by` says which grouping a row belongs to, columns of the other groupings are null."""
    filtering = {"horizon": pl.lit(0, pl.Int32), "horizon_to": pl.lit(0, pl.Int32)}
    labelled = [
        results.looks.with_columns(by=pl.lit("look")),
        results.quality.with_columns(by=pl.lit("quality"), **filtering),
        results.rewards.with_columns(by=pl.lit("reward"), **filtering),
    ]
    keys = ["by", "encoder", "algorithm", "task", *LOOK_KEYS, "quality", "reward_from", "reward_to", "seeds", "episodes", "n"]
    table = pl.concat(labelled, how="diagonal")
    return table.select(*keys, pl.exclude(keys))
