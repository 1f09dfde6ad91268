"""Made-up studies with a planted truth, judged by the functions that judge real ones: what `coverage` counts.

Each function draws K studies and says of every figure what is true, and the intervals found: name -> (truth, low [K], high [K]).
`size` counts clusters: episodes, encoders or points; `seeds` counts models, or runs on a task. `effect` is planted, 0: none.
Studies stand side by side in one table (as its tasks, encoders or algorithms), because one call for many is cheaper.
"""

from collections.abc import Iterable, Mapping
from functools import cache

import numpy as np
import polars as pl
from numpy.typing import NDArray
from scipy import stats

from analysis.accumulate import STATISTICS
from analysis.errors import contrasts, errors_by
from analysis.resample import Resampling
from analysis.statistics.correlation import correlations
from analysis.statistics.improvement import improvements
from analysis.statistics.regression import regress
from analysis.statistics.scores import aggregates

Array = NDArray[np.float64]
Judged = dict[str, tuple[float, Array, Array]]
STEPS = 20
LEVELS = np.array([0.3, 1.0, 1.5, 3.0])  # of the reward, by quality of the behaviour
ERROR = 0.4  # mean scale of an episode's errors
HARD, OWN, MODEL = 0.25, 0.06, 0.04  # variance of that scale, over its square: of episodes, of an episode and model, of models
SCALES, BETA = np.array([1.0, 0.9, 0.8]), (3.0, 2.0)  # scores: of each task, and their distribution


def errors(rng: np.random.Generator, studies: int, size: int, seeds: int, how: Resampling, effect: float) -> Judged:
    """Errors of one representation: episodes differ in reward and in error, models in error; another look multiplies them."""
    scale = _models(rng, studies, seeds) * _gamma(rng, HARD, (studies, 1, size))
    level = LEVELS[rng.integers(0, len(LEVELS), (studies, 1, size, 1))]
    reward = level + 0.5 * rng.normal(size=(studies, 1, size, STEPS))
    looks = []
    for axis, severity, factor in (("default", 0.0, 1.0), ("texture", 1.0, 1 + effect)):
        looks.append(_sums(reward, _error(rng, factor * scale), axis=axis, severity=severity, encoder="x"))
    table = errors_by(pl.concat(looks), ("axis", "severity", "split", "horizon"), how)
    mean = ERROR * np.sqrt(2 / np.pi)
    squared = ERROR**2 * (1 + HARD) * (1 + OWN) * (1 + MODEL * (seeds > 1))
    default = {"mae": mean, "r2": 1 - squared / (LEVELS.var() + 0.25), "bias": 0.0}
    changes = {"mae_increase": effect * mean, "mae_ratio": 1 + effect}
    return _ends(table.filter(axis="default"), default) | _ends(table.filter(axis="texture"), changes)


def paired(rng: np.random.Generator, studies: int, size: int, seeds: int, how: Resampling, effect: float) -> Judged:
    """Two representations on the same episodes, hard for both: MAE of one less that of the other."""
    hard = _gamma(rng, HARD, (studies, 1, size))
    parts = []
    for name, factor in (("x", 1 + effect), ("scratch", 1.0)):
        error = _error(rng, factor * _models(rng, studies, seeds) * hard)
        parts.append(_sums(np.zeros(1), error, axis="default", severity=0.0, encoder=name))
    table = contrasts(pl.concat(parts), "scratch", [0], how)
    return _ends(table, {"difference": effect * ERROR * np.sqrt(2 / np.pi)})


def scores(rng: np.random.Generator, studies: int, size: int, seeds: int, how: Resampling, effect: float) -> Judged:
    """Normalised returns of `seeds` runs on each of three tasks."""
    found = aggregates(_runs(encoder=SCALES[:, None] * rng.beta(*BETA, (studies, len(SCALES), seeds))), how)
    return _joined(_ends(found.filter(metric=metric), {"": truth}, metric) for metric, truth in _score_truth().items())


def improvement(rng: np.random.Generator, studies: int, size: int, seeds: int, how: Resampling, effect: float) -> Judged:
    """`seeds` runs of each of two representations on each of two tasks; one is better by `effect` standard deviations."""
    runs = (rng.normal(size=(studies, 2, seeds)) + shift for shift in (effect, 0.0))
    table = pl.concat(_runs(algorithm=values).with_columns(encoder=pl.lit(name)) for name, values in zip("xy", runs, strict=True))
    return _ends(improvements(table, how).filter(x="x"), {"": float(stats.norm.cdf(effect / np.sqrt(2)))}, "improvement")


def correlation(rng: np.random.Generator, studies: int, size: int, seeds: int, how: Resampling, effect: float) -> Judged:
    """`size` points: encoders on one task, from 30 on two tasks. What correlates within tasks is planted."""
    kinds = {"pearson": effect, "spearman": float(6 / np.pi * np.arcsin(effect / 2))}
    tables = []
    for _ in range(studies):
        x = rng.normal(size=(size // 2, 2) if size >= 30 else (size, 1))
        y = effect * x + np.sqrt(1 - effect**2) * rng.normal(size=x.shape)
        encoder, task = np.indices(x.shape).reshape(2, -1)
        columns = {"encoder": encoder, "task": task, "x": x.ravel() + 3.0 * task, "y": y.ravel() + 3.0 * task}
        points = pl.DataFrame(columns).with_columns(pl.lit("a").alias("algorithm"), pl.lit(0).alias("seed"))
        tables.append(correlations(points, "x", "y", how, clusters=("encoder", "task")).filter("within_task"))
    table = pl.concat(tables)
    return _joined(_ends(table.filter(kind=kind), {"": truth}, kind) for kind, truth in kinds.items())


def regression(rng: np.random.Generator, studies: int, size: int, seeds: int, how: Resampling, effect: float) -> Judged:
    """`size` encoders on three tasks: a property is worth `effect`, another 0.3."""
    index = dict(zip(("encoder", "task", "seed"), np.indices((size, 3, seeds)).reshape(3, -1), strict=True))
    has = np.arange(size) % 2
    tables = []
    for _ in range(studies):
        other = rng.normal(size=size)
        level = effect * has + 0.3 * other + 0.3 * rng.normal(size=size)
        points = level[:, None] + rng.normal(size=(1, 3)) + 0.1 * rng.normal(size=(size, 3))
        score = points[:, :, None] + 0.2 * rng.normal(size=(size, 3, seeds))
        runs = pl.DataFrame(index | {"score": score.ravel()}).with_columns(algorithm=pl.lit("a"))
        properties = pl.DataFrame({"encoder": np.arange(size), "property": has, "other": other})
        tables.append(regress(runs, properties, ["property", "other"], how.confidence).filter(term="property"))
    return _ends(pl.concat(tables), {"": effect}, "regression")


def _ends(table: pl.DataFrame, truth: Mapping[str, float], named: str = "") -> Judged:
    """`NAME_low` and `NAME_high` of each NAME in `truth`, rows being studies; undefined ones are nan."""
    found: Judged = {}
    for name, value in truth.items():
        low, high = (table[f"{name}_{end}".lstrip("_")].cast(pl.Float64).fill_null(np.nan).to_numpy() for end in ("low", "high"))
        found[name or named] = (value, low, high)
    return found


def _joined(parts: Iterable[Judged]) -> Judged:
    return {name: value for part in parts for name, value in part.items()}


def _gamma(rng: np.random.Generator, variance: float, size: tuple[int, ...]) -> Array:
    """Of mean 1."""
    return rng.gamma(1 / variance, variance, size)


def _models(rng: np.random.Generator, studies: int, seeds: int) -> Array:
    """How much each model errs, [K, seeds, 1]. Of one model the intervals say what it does, not what others would."""
    return ERROR * (_gamma(rng, MODEL, (studies, seeds, 1)) if seeds > 1 else np.ones((studies, 1, 1)))


def _error(rng: np.random.Generator, scale: Array) -> Array:
    """[K, seeds, episodes] -> [K, seeds, episodes, STEPS]."""
    return (scale * _gamma(rng, OWN, scale.shape))[..., None] * rng.normal(size=(*scale.shape, STEPS))


def _sums(reward: Array, error: Array, **keys: object) -> pl.DataFrame:
    """What `sums.episode_sums` gives of rewards and errors [K, seeds, episodes, STEPS]; the task is the study."""
    reward = np.broadcast_to(reward, error.shape)
    terms = (np.ones_like(error), reward, reward**2, reward + error, error**2, np.abs(error))
    study, seed, episode = np.indices(error.shape[:3]).reshape(3, -1)
    columns = {name: term.sum(-1).ravel() for name, term in zip(STATISTICS, terms, strict=True)}
    table = pl.DataFrame({"task": study, "seed": seed, "episode": episode} | columns).with_columns(_name("task"))
    keys = {"algorithm": "a", "split": "id", "horizon": 0} | keys
    return table.with_columns(pl.lit(value).alias(name) for name, value in keys.items())


def _runs(**values: Array) -> pl.DataFrame:
    """Scores [K, tasks, seeds] as a table; the study is the encoder, or the algorithm, whichever the argument is called."""
    ((of, score),) = values.items()
    study, task, seed = np.indices(score.shape).reshape(3, -1)
    table = pl.DataFrame({of: study, "task": task, "seed": seed, "score": score.ravel()}).with_columns(_name(of))
    return table if of == "algorithm" else table.with_columns(algorithm=pl.lit("a"))


def _name(study: str) -> pl.Expr:
    return pl.col(study).cast(pl.String).str.zfill(6)  # sorted as numbers are


@cache
def _score_truth() -> dict[str, float]:
    """Of the scores' distribution, by quadrature."""
    tasks = SCALES[:, None] * stats.beta.ppf((np.arange(20000) + 0.5) / 20000, *BETA)
    pooled = np.sort(tasks.ravel())
    quarter = len(pooled) // 4
    mean, median = float(tasks.mean()), float(np.median(tasks.mean(1)))
    return {"iqm": float(pooled[quarter:-quarter].mean()), "mean": mean, "median": median, "optimality_gap": 1 - mean}
