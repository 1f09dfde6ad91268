"""How much of the physics state a linear readout finds in stored embeddings, and whether one representation holds more.

    python -m benchmarks.probe --task cartpole_swingup --encoders mae_indomain,dino_indomain --against random_vit

Ridge regression from the default look's embeddings of the training episodes to the task's observation (positions, angles and
velocities; each component in units of its standard deviation), judged on the validation episodes. The penalty is chosen by
leaving a quarter of the training episodes out. Error is averaged over an episode's rows and the components; the interval of a
difference in error resamples whole episodes (percentile bootstrap, Efron and Tibshirani 1993), the same ones on both sides.
Needs `pretrain` and `encode` of every name.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from datasets.embeddings import load_embeddings
from datasets.episodes import Trajectories
from datasets.frames import DEFAULT
from datasets.trajectories import load_trajectories
from pipeline.stage import run

Array = NDArray[np.float64]
_PENALTIES = 10.0 ** np.arange(-4, 5)
_RESAMPLES, _CONFIDENCE = 10_000, 0.95


@dataclass(frozen=True)
class Probe:
    """`error` [episodes, components] squared, in variances of the component; `r2` [components] over all validation rows."""

    error: Array
    r2: Array


def main(task: str, encoders: str, against: str = "random_vit", data: Path = Path("data")) -> None:
    trajectories = load_trajectories(data / "trajectories" / task)
    folder = data / "embeddings" / task
    base = probe(load_embeddings(folder / against, DEFAULT).values, trajectories)
    print(f"{against:16} R2 {base.r2.mean():.3f}  of components {_listed(base.r2)}")
    for name in encoders.split(","):
        found = probe(load_embeddings(folder / name, DEFAULT).values, trajectories)
        low, mean, high = difference(base.error.mean(1), found.error.mean(1))
        print(f"{name:16} R2 {found.r2.mean():.3f}  of components {_listed(found.r2)}")
        print(f"    error of {against} less that of {name}: {mean:.4f} [{low:.4f}, {high:.4f}], {len(base.error)} episodes")


def probe(embedding: NDArray[Any], data: Trajectories) -> Probe:
    """Read the observation out of `embedding` [T, D], row for row the trajectories."""
    episode = np.repeat(np.arange(len(data.episode_ends)), np.diff(np.concatenate([[0], data.episode_ends])))
    training, held_out = (np.isin(episode, data.episodes(validation)) for validation in (False, True))  # without resized bodies
    chosen = np.isin(episode, data.episodes(validation=False)[::4])  # to choose the penalty on
    x, y = _standard(embedding.astype(np.float64), training), _standard(data.observation.astype(np.float64), training)
    fit = training & ~chosen
    errors = [((x[chosen] @ ridge(x[fit], y[fit], penalty) - y[chosen]) ** 2).mean() for penalty in _PENALTIES]
    weights = ridge(x[training], y[training], float(_PENALTIES[int(np.argmin(errors))]))
    squared = (x[held_out] @ weights - y[held_out]) ** 2
    of_episodes = np.stack([squared[episode[held_out] == e].mean(0) for e in data.episodes(validation=True)])
    return Probe(of_episodes, 1 - squared.mean(0) / y[held_out].var(0))


def ridge(x: Array, y: Array, penalty: float) -> Array:
    """Weights [D, O] of the least squared error of `y` [N, O] from `x` [N, D], with `penalty` on their squares; no intercept."""
    return np.asarray(np.linalg.solve(x.T @ x + penalty * np.eye(x.shape[1]), x.T @ y), np.float64)


def difference(base: Array, other: Array) -> tuple[float, float, float]:
    """(low, mean, high) of `base` - `other`, both [episodes]: mean and its interval over resampled episodes."""
    gap = base - other
    draws = np.random.default_rng(0).integers(len(gap), size=(_RESAMPLES, len(gap)))
    low, high = np.quantile(gap[draws].mean(1), [(1 - _CONFIDENCE) / 2, (1 + _CONFIDENCE) / 2])
    return float(low), float(gap.mean()), float(high)


def _standard(values: Array, rows: NDArray[np.bool_]) -> Array:
    """Columns less their mean over their deviation, both of `rows`; constant ones stay zero."""
    spread = values[rows].std(0)
    return (values - values[rows].mean(0)) / np.where(spread > 0, spread, 1)


def _listed(values: Array) -> str:
    return " ".join(f"{value:.3f}" for value in values)


if __name__ == "__main__":
    run(main)
