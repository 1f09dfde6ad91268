"""Measures of reward prediction besides R2 and MAE, by look and horizon, with intervals: all of them as one tidy table."""

import polars as pl

from analysis import accumulated, calibration, ranking, seeds, sparse
from analysis.accumulate import Sums, slices
from analysis.figure import Figure, tabulated
from analysis.gathered import LOOK, gather
from analysis.resample import Resampling
from analysis.sums import EPISODE

BINS = 10
_CELL = ("encoder", "algorithm", "task")
_BY = (*LOOK, "horizon")
_CURVE = {"observed": Figure(lambda sums: sums["r"] / sums["n"]), "predicted": Figure(lambda sums: sums["p"] / sums["n"])}


def measures(
    part: pl.LazyFrame, short: int, how: Resampling, event: float = sparse.EVENT, steps: int = accumulated.STEPS
) -> pl.DataFrame:
    """All measures: of filtering (horizon 0) and of horizon `short`, and errors accumulated open loop.

    Args:
        part: the columns of `tables.REWARD_ERROR`, whole models: one representation's part, or several.
        short: horizons up to this one were predicted from every start.
        event: as of `sparse.terms`. steps: as of `accumulated.per_start`.

    Returns:
        encoder, algorithm, task, axis, severity, split, horizon, measure, value, low, high, n (predictions; accumulated: starts),
        episodes, seeds. `measure` is calibration_slope, calibration_intercept, spearman, event_precision, event_recall, event_f1,
        seed_bias2, seed_variance, accumulated_33 (or other `steps`), accumulated_whole. Undefined values are null; an accumulated
        error that no start was predicted far enough for has no row.

    Raises:
        DataError: the seeds of a representation did not predict the same rewards.
    """
    rows = gather(part, sorted({0, short}))
    terms = calibration.terms(rows) | ranking.terms(rows) | sparse.terms(rows, event)
    figures = calibration.FIGURES | ranking.FIGURES | sparse.FIGURES
    tables = [tabulated(rows.sums(**terms), _BY, ("n", *terms), figures, how)]
    apart = seeds.split(rows)
    several = apart.group_by(_CELL).agg(pl.col("of").first().alias("seeds"))
    split = tabulated(apart, _BY, seeds.STATISTICS, seeds.FIGURES, how).drop("seeds")
    tables.append(split.join(several, on=_CELL, maintain_order="left"))
    starts = accumulated.per_start(part, steps)
    for name, sums in (
        (f"accumulated_{steps}", accumulated.near(starts, steps)),
        ("accumulated_whole", accumulated.whole(starts)),
    ):
        if len(sums):
            tables.append(tabulated(sums, _BY, accumulated.STATISTICS, {name: accumulated.FIGURE}, how))
    return pl.concat(tables).sort("encoder", "algorithm", "task", *_BY, "measure")


def reliability(part: pl.LazyFrame, bins: int, how: Resampling) -> pl.DataFrame:
    """Reliability curve of filtering predictions: the mean reward where a reward in a bin was predicted.

    Args:
        part: as of `measures`.
        bins: how many, equally wide between the task's lowest and highest true reward; predictions beyond an end are in the first
            or the last.

    Returns:
        encoder, algorithm, task, axis, severity, split, predicted_from, predicted_to, predicted and observed (means), low, high
        (of observed), n, episodes, seeds. Bins that were never predicted have no row.
    """
    filtering = part.filter(pl.col("horizon") == 0)
    limits = filtering.group_by("task").agg(low=pl.col("reward").min(), high=pl.col("reward").max()).collect()
    low, high = (pl.col("task").replace_strict(limits["task"], limits[end], return_dtype=pl.Float64) for end in ("low", "high"))
    width = pl.when(high > low).then((high - low) / bins).otherwise(1.0)
    index = ((pl.col("reward_pred").cast(pl.Float64) - low) / width).floor().clip(0, bins - 1).cast(pl.Int64).alias("bin")
    sums = Sums(part.select(EPISODE).collect_schema(), bins)
    for rows in slices(filtering.select(*EPISODE, "reward", "reward_pred", index)):
        sums.add(rows, rows["bin"].to_numpy())
    table = tabulated(sums.table(), (*LOOK, "bin"), ("n", "r", "p"), _CURVE, how)
    keys = [*_CELL, *LOOK, "bin"]
    mean = table.filter(measure="predicted").select(*keys, predicted="value")
    curve = table.filter(measure="observed").rename({"value": "observed"}).join(mean, on=keys, maintain_order="left")
    ends = curve.with_columns(predicted_from=low + pl.col("bin") * width, predicted_to=low + (pl.col("bin") + 1) * width)
    columns = ("predicted_from", "predicted_to", "predicted", "observed", "low", "high", "n", "episodes", "seeds")
    return ends.select(*_CELL, *LOOK, *columns)
