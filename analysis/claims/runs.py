"""What every run (one seed of one representation, task and algorithm) is judged by, with its values on resampled episodes.

R runs, B resamples, E episodes of a task, G groups of its predictions. The same resamples of a task's episodes serve all its
runs, so that differences between runs are paired.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np
import polars as pl

from analysis.online import ONLINE_ARM
from analysis.resample import Array, Resampling, mae, r2
from analysis.statistics.draws import Ids, codes, counts
from analysis.sums import STATISTICS

RUN = ("encoder", "task", "algorithm", "seed")
Figure = Callable[[Array, Array], Array]  # sums [..., G, statistics], the groups' severities [G] -> [...]


@dataclass(frozen=True)
class Quantity:
    """One number of each run.

    Attributes:
        runs: R rows of RUN, sorted.
        values: [R]. drawn: [B, R]. nan where undefined.
    """

    runs: pl.DataFrame
    values: Array
    drawn: Array

    def where(self, chosen: pl.Expr) -> "Quantity":
        """The runs that `chosen` is true of."""
        kept = self.runs.select(chosen.alias("kept"))["kept"].to_numpy()
        return Quantity(self.runs.filter(kept), self.values[kept], self.drawn[:, kept])

    @property
    def defined(self) -> "Quantity":
        """The runs that have a value."""
        return self.where(pl.lit(pl.Series(np.isfinite(self.values))))

    def table(self, name: str) -> pl.DataFrame:
        """RUN, `name`; undefined values are null."""
        return self.runs.with_columns(pl.Series(name, self.values).fill_nan(None))


def of_groups(sums: pl.DataFrame, figure: Figure, how: Resampling) -> Quantity:
    """A figure of each run from its predictions pooled by severity; default look: severity 0.

    Args:
        sums: `sums.episode_sums`, those rows that count.
    """
    runs = sums.select(RUN).unique().sort(RUN)
    values, drawn = np.full(len(runs), np.nan), np.full((how.resamples, len(runs)), np.nan)
    numbered = sums.join(runs.with_row_index("run"), on=RUN)
    tasks = {task: number for number, task in enumerate(sorted(runs["task"].unique()))}
    for (task,), part in numbered.partition_by("task", as_dict=True).items():
        members, run = np.unique(part["run"].to_numpy(), return_inverse=True)
        severities, group = np.unique(part["severity"].to_numpy(), return_inverse=True)
        episodes, episode = np.unique(part["episode"].to_numpy(), return_inverse=True)
        dense = np.zeros((len(episodes), len(members), len(severities), len(STATISTICS)))
        np.add.at(dense, (episode, run, group), part.select(STATISTICS).to_numpy())
        weights = counts(np.zeros(len(episodes), np.int64), apart(how, 3 + tasks[task]))
        values[members] = figure(dense.sum(0), severities)
        drawn[:, members] = figure(np.tensordot(weights, dense, 1), severities)
    return Quantity(runs, values, drawn)


def error(sums: pl.DataFrame, how: Resampling) -> Quantity:
    """Mean absolute error of open-loop predictions under the default look (horizons above 0), in reward a step."""
    return of_groups(_default(sums, pl.col("horizon") > 0), lambda s, _: mae(s[..., 0, :]), how)


def explained(sums: pl.DataFrame, how: Resampling) -> Quantity:
    """R2 of the same predictions."""
    return of_groups(_default(sums, pl.col("horizon") > 0), lambda s, _: r2(s[..., 0, :]), how)


def growth(sums: pl.DataFrame, how: Resampling) -> Quantity:
    """log(filtering MAE under all held-out shifted looks / that under the default look)."""
    held_out = _held_out(sums).with_columns(severity=(pl.col("axis") != "default").cast(pl.Float64))
    return of_groups(held_out, lambda s, _: _log_ratio(mae(s)), how)


def slope(sums: pl.DataFrame, axis: str, how: Resampling) -> Quantity:
    """Least-squares slope of log(filtering MAE) over the severity of one axis, the default look being its severity 0."""
    chosen = _held_out(sums).filter(pl.col("axis").is_in(["default", axis]))

    def fitted(s: Array, severities: Array) -> Array:
        centred = severities - severities.mean()
        with np.errstate(all="ignore"):
            return np.log(mae(s)) @ centred / (centred @ centred)

    return of_groups(chosen, fitted, how)


def returns(online: pl.DataFrame, sums: pl.DataFrame, best: float, how: Resampling) -> tuple[Quantity, Quantity]:
    """Normalised return (G - G_random) / (best - G_random), as arXiv 2411.10175 has it: mean over the steps, and at the last.

    Steps are those at which every run of a task and algorithm was evaluated, under the default look; the mean is the area under
    the curve over its width. G_random is the mean return of the held-out episodes of random behaviour. Tasks without any are
    left out.
    """
    chosen = online.filter(pl.col("arm") == ONLINE_ARM, pl.col("axis") == "default").join(random_returns(sums), on="task")
    chosen = chosen.group_by(*RUN, "env_steps").agg(pl.col("return").mean(), pl.col("random").first())
    cell = ["task", "algorithm"]
    asked = chosen.select(RUN).unique().group_by(cell).agg(pl.len().alias("runs"))
    common = chosen.group_by(*cell, "env_steps").agg(pl.len().alias("have")).join(asked, on=cell)
    common = common.filter(pl.col("have") == pl.col("runs"))
    score = (pl.col("return") - pl.col("random")) / (best - pl.col("random"))
    scores = chosen.join(common, on=[*cell, "env_steps"], how="semi").with_columns(score=score).sort(*RUN, "env_steps")
    width = pl.col("env_steps").diff().cast(pl.Float64)
    area = ((pl.col("score") + pl.col("score").shift()) / 2 * width).sum() / width.sum()
    by_run = scores.group_by(RUN, maintain_order=True)
    table = by_run.agg(mean=pl.when(pl.len() > 1).then(area).otherwise(pl.col("score").last()), last=pl.col("score").last())
    values = [table[name].to_numpy() for name in ("mean", "last")]
    curve, end = (Quantity(table.select(RUN), v, np.broadcast_to(v, (how.resamples, len(v)))) for v in values)
    return curve, end


def episode_returns(sums: pl.DataFrame) -> pl.DataFrame:
    """task, quality, episode, return: of every held-out episode, from its true rewards."""
    own = _default(sums, pl.col("horizon") == 0)
    model = pl.struct("encoder", "algorithm", "seed")
    one = own.sort("task", "encoder", "algorithm", "seed", "episode").filter(model == model.first().over("task"))
    return one.select("task", "quality", "episode", pl.col("r").alias("return"))


def random_returns(sums: pl.DataFrame) -> pl.DataFrame:
    """task, random: mean return of random behaviour."""
    own = episode_returns(sums).filter(quality="random")
    return own.group_by("task", maintain_order=True).agg(random=pl.col("return").mean())


def cells(runs: pl.DataFrame) -> Ids:
    """int64 [R]: runs numbered by (encoder, task, algorithm)."""
    return codes(runs, *RUN[:3])


def apart(how: Resampling, number: int) -> Resampling:
    """The same with other draws: what is resampled independently must not share its random numbers."""
    return replace(how, seed=how.seed + 7919 * number)


def _default(sums: pl.DataFrame, chosen: pl.Expr) -> pl.DataFrame:
    return sums.filter(pl.col("axis") == "default", chosen)


def _held_out(sums: pl.DataFrame) -> pl.DataFrame:
    return sums.filter((pl.col("axis") == "default") | (pl.col("split") == "ood"), pl.col("horizon") == 0)


def _log_ratio(errors: Array) -> Array:
    """[..., G] -> [...]; undefined where nothing was shifted."""
    if errors.shape[-1] < 2:
        return np.full(errors.shape[:-1], np.nan)
    with np.errstate(all="ignore"):
        return np.log(errors[..., 1] / errors[..., 0])
