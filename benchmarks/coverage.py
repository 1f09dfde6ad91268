"""How often the intervals of the analysis contain the truth, and how often no effect is called one, in simulated studies.

    python -m benchmarks.coverage                                # writes docs/results/coverage.parquet, prints its tables
    python -m benchmarks.coverage --studies 200 --only paired --out /tmp/coverage.parquet

Not part of `make bench`: minutes of one core. `benchmarks.studies` says what is planted. Of 2,000 studies at 95 %, the share that
covers has a standard error of 0.5 %. Intervals are made from 400 resamples instead of the report's 2,000: their standard
deviation is all that is used of them (of 400 known to 3.5 %). Exits with 1 where an interval
from at least 30 clusters covers less than 93 % or more than 97 %, or calls no effect an effect more often than in 6.5 %.
"""

import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import polars as pl

from analysis.resample import Resampling
from benchmarks import studies as made_up
from pipeline.log import log
from pipeline.stage import run
from pipeline.work import replacing

OUT = Path("docs/results/coverage.parquet")
CONFIDENCE, RESAMPLES, SEED, AT_A_TIME = 0.95, 400, 0, 100
ENOUGH, COVERED, CALLED = 30, (0.93, 0.97), 0.065
NULL = {"mae_increase": 0.0, "mae_ratio": 1.0, "difference": 0.0, "improvement": 0.5, "pearson": 0.0, "spearman": 0.0,
        "regression": 0.0}  # fmt: skip


@dataclass(frozen=True)
class Setting:
    """Studies of one kind and size; `clusters` of what `unit` says, all told."""

    study: Callable[..., made_up.Judged]
    unit: str
    clusters: int
    seeds: int
    effect: float


SETTINGS = [
    *(Setting(study, "episodes", n, 1, effect) for study in (made_up.errors, made_up.paired)
      for n, effect in ((30, 0.2), (30, 0.0), (17, 0.0), (8, 0.0), (2, 0.0))),
    *(Setting(study, "episodes", n, seeds, 0.0) for study in (made_up.errors, made_up.paired)
      for n, seeds in ((30, 3), (30, 2), (8, 3))),
    *(Setting(made_up.scores, "runs", 3 * seeds, seeds, 0.0) for seeds in (10, 3, 2)),
    *(Setting(made_up.improvement, "runs", 4 * n, n, effect) for n, effect in ((8, 0.5), (8, 0.0), (3, 0.0), (2, 0.0))),
    *(Setting(made_up.correlation, "points", n, 1, effect) for n in (30, 17, 8) for effect in (-0.66, 0.0)),
    *(Setting(made_up.regression, "encoders", n, 3, effect) for n, effect in ((30, 0.5), (30, 0.0), (17, 0.0), (8, 0.0))),
]  # fmt: skip


def main(studies: int = 2000, only: str = "", out: Path = OUT) -> None:
    table = pl.concat(judged(setting, studies) for setting in SETTINGS if only in setting.study.__name__)
    with replacing(out) as path:
        table.write_parquet(path)
    for text in markdown(table):
        print(text)
    wrong = broken(table)
    for row in wrong.iter_rows(named=True):
        log(f"error: {row['figure']} of {row['clusters']} {row['unit']}: covered {row['covered']:.1%}, effect {row['effect']}")
    if len(wrong):
        sys.exit(1)


def judged(setting: Setting, studies: int) -> pl.DataFrame:
    """One row per figure.

    Returns:
        study, figure, unit, clusters, seeds, effect, studies, resamples, confidence, covered (share of the intervals that contain
        the truth), below, above (shares that lie wholly under and over it), undefined (studies without an interval, not in the
        shares), called (share that excludes the value of no effect, where that is the truth; else null).
    """
    place = [SEED, *setting.study.__name__.encode(), setting.clusters, setting.seeds, round(1000 * abs(setting.effect))]
    rng = np.random.default_rng(place)
    how = Resampling(RESAMPLES, CONFIDENCE, SEED)
    sizes = [min(AT_A_TIME, studies - done) for done in range(0, studies, AT_A_TIME)]
    parts = [setting.study(rng, size, setting.clusters, setting.seeds, how, setting.effect) for size in sizes]
    rows = []
    for figure, (truth, *_) in parts[0].items():
        low, high = (np.concatenate([part[figure][end] for part in parts]) for end in (1, 2))
        known = np.isfinite(low)
        below, above = float((high < truth)[known].mean()), float((low > truth)[known].mean())
        called = below + above if NULL.get(figure) == truth else None
        rows.append((setting.study.__name__, figure, setting.unit, setting.clusters, setting.seeds, setting.effect, studies,
                     RESAMPLES, CONFIDENCE, 1 - below - above, below, above, int((~known).sum()), called))  # fmt: skip
    log(f"{setting.study.__name__}, {setting.clusters} {setting.unit}, {setting.seeds} seeds, effect {setting.effect}: done")
    return pl.DataFrame(rows, schema=SCHEMA, orient="row")


SCHEMA = {
    "study": pl.String, "figure": pl.String, "unit": pl.String, "clusters": pl.Int64, "seeds": pl.Int64, "effect": pl.Float64,
    "studies": pl.Int64, "resamples": pl.Int64, "confidence": pl.Float64, "covered": pl.Float64, "below": pl.Float64,
    "above": pl.Float64, "undefined": pl.Int64, "called": pl.Float64,
}  # fmt: skip


def broken(table: pl.DataFrame) -> pl.DataFrame:
    """Rows that cover, or call, other than is demanded of enough clusters (and, of episodes, one seed)."""
    enough = (pl.col("clusters") >= ENOUGH) & ((pl.col("unit") != "episodes") | (pl.col("seeds") == 1))
    return table.filter(enough).filter(~pl.col("covered").is_between(*COVERED) | (pl.col("called") > CALLED))


def markdown(table: pl.DataFrame) -> Iterator[str]:
    """A table per kind of study: figures by settings, the share that covers; of several planted effects the lowest share."""
    kinds = table.with_columns(kind=pl.col("study").replace("paired", "errors"))
    for _, own in kinds.group_by("kind", maintain_order=True):
        several = own["seeds"].n_unique() > 1
        named = pl.format("{} {}", "clusters", "unit") + (pl.format(", seeds: {}", "seeds") if several else pl.lit(""))
        shown = own.with_columns(setting=named, share=(100 * pl.col("covered")).round(1))
        wide = shown.group_by("figure", "setting", maintain_order=True).agg(pl.col("share").min())
        wide = wide.pivot("setting", index="figure", values="share")
        yield "| " + " | ".join(wide.columns) + " |"
        yield "|" + "---|" * len(wide.columns)
        for row in wide.rows():
            yield "| " + " | ".join("" if value is None else str(value) for value in row) + " |"
        yield ""


if __name__ == "__main__":
    run(main)
