"""What is measured of a model beside its rewards, while these are predicted: dynamics error and calibration, by episode."""

from typing import Generic, NamedTuple

import numpy as np
import torch
from jaxtyping import Float, Int
from numpy.typing import NDArray
from torch import Tensor

from datasets.episodes import Trajectories
from trainers.data import Rows
from trainers.evaluate import Filtered, chosen, filter_episodes
from trainers.models import Predictor, S
from trainers.probes.probe import Asked, Targets, ask
from trainers.probes.ridge import Ridge, fit_ridge
from trainers.probes.targets import as_vectors, evenly

HORIZONS = (0, 1, 2, 3, 5, 10)  # measured under the default look, besides the longest that every start has
LEVELS = (0.5, 0.8, 0.9, 0.95)  # of central intervals
FRAME_SIDE = 8  # pixels that frames are averaged down to, to be predicted as an embedding is
MOST = 20_000  # rows that a probe is fitted to


class Dynamics(NamedTuple):
    """One row per episode, horizon and metric: the mean `value` of `n` predictions."""

    episode: NDArray[np.int32]
    horizon: NDArray[np.int32]
    metric: NDArray[np.str_]
    n: NDArray[np.int64]
    value: NDArray[np.float64]


class Calibration(NamedTuple):
    """One row per episode, horizon and level: how many of `n` rewards lie `inside` the central interval, its mean `width`."""

    episode: NDArray[np.int32]
    horizon: NDArray[np.int32]
    level: NDArray[np.float64]
    n: NDArray[np.int64]
    inside: NDArray[np.int64]
    width: NDArray[np.float64]


class LatentProbe(NamedTuple):
    """What a linear map reads out of a model's latents."""

    asked: Asked
    ridge: Ridge


def targets(data: Trajectories, rows: Rows, index: Int[Tensor, " n"]) -> dict[str, Tensor]:
    """What latents are asked for: the task's observation [n, O], and what was embedded [n, E] (`targets.as_vectors`)."""
    state = torch.from_numpy(data.observation).to(index.device)[index]
    return {"state": state, "embedding": as_vectors(rows.observation, index, FRAME_SIDE)}


def fit_latent_probe(model: Predictor[S], data: Trajectories, rows: Rows, episodes: list[int], at_once: int) -> LatentProbe:
    """Fit the probe to filtered latents of training episodes.

    Args:
        rows: of the look that is trained on, `episodes` among them.
        episodes: those of training; at most MOST of their rows are used, evenly spaced, none of them an episode's first.
        at_once: episodes filtered together.

    Raises:
        DataError: a latent is not finite.
    """
    device = rows.reward.device
    spans = [data.rows_of(episode) for episode in episodes]
    every = torch.cat([torch.arange(s.start + 1, s.stop) for s in spans])
    wanted = torch.zeros(len(data.reward), dtype=torch.bool)
    wanted[every[evenly(len(every), MOST)]] = True
    wanted = wanted.to(device)
    features, index, group = [], [], []
    with torch.inference_mode():
        for first in range(0, len(episodes), at_once):
            filtered = filter_episodes(model, data, rows, episodes[first : first + at_once])
            within = torch.arange(filtered.index.shape[1], device=device) < filtered.lengths[:, None]
            row, t = (within & wanted[filtered.index]).nonzero().unbind(1)
            features.append(model.feature(chosen(filtered.states, row, t)).float())
            index.append(filtered.index[row, t])
            group.append(row + first)
        given = targets(data, rows, torch.cat(index))
        asked = ask(given)
        return LatentProbe(asked, fit_ridge(torch.cat(features), asked.joined(given), torch.cat(group)))


class Measures(Generic[S]):
    """Collects, as the states of an open loop pass by (`predict_rewards(visit=...)`)."""

    def __init__(
        self, model: Predictor[S], filtered: Filtered[S], given: Targets, probe: LatentProbe, horizons: set[int]
    ) -> None:
        """
        Args:
            given: `targets` of the filtered rows, [B * L, *].
            horizons: those measured, as far as they are shown; the largest one is calibrated, and 0.
        """
        self._model, self._filtered, self._probe = model, filtered, probe
        self._given = {name: values.unflatten(0, filtered.index.shape) for name, values in given.items()}
        self._horizons, self._calibrated = horizons, {0, max(horizons)}
        self._dynamics: list[tuple[int, str, Tensor, Tensor]] = []  # horizon, metric, n [B], value [B]
        self._calibration: list[tuple[int, float, Tensor, Tensor, Tensor]] = []  # horizon, level, n, inside, width [B]
        if filtered.kl is not None:
            steps = torch.arange(filtered.index.shape[1], device=filtered.index.device)
            row, t = ((steps < filtered.lengths[:, None]) & (steps > 0)).nonzero().unbind(1)
            self._add(1, "kl", row, t, filtered.kl[row, t])

    def visit(self, ahead: int, row: Tensor, t: Tensor, state: S) -> None:
        """See `trainers.evaluate.predict_rewards`."""
        if ahead in self._horizons:
            given = {name: values[row, t] for name, values in self._given.items()}
            errors = self._probe.asked.errors(self._probe.ridge, self._model.feature(state), given)
            for name, values in errors.items():
                self._add(ahead, f"{name}_nmse", row, t, values)
            latent = self._model.latent_error(state, chosen(self._filtered.states, row, t)) if ahead else None
            if latent is not None:
                self._add(ahead, "latent_mse", row, t, latent)
        if ahead in self._calibrated:
            self._calibrate(ahead, row, t, state)

    def _calibrate(self, ahead: int, row: Tensor, t: Tensor, state: S) -> None:
        tails = torch.tensor([[(1 - level) / 2, (1 + level) / 2] for level in LEVELS], dtype=torch.float64, device=row.device)
        ends = self._model.reward_quantiles(state, tails.flatten()).unflatten(1, tails.shape)  # (n, levels, 2)
        reward = self._filtered.reward[row, t].to(ends.dtype)[:, None]
        inside = ((ends[..., 0] <= reward) & (reward <= ends[..., 1])).double()
        n = self._by_episode(row, t, torch.ones_like(inside[:, 0]))
        for at, level in enumerate(LEVELS):
            width = self._by_episode(row, t, ends[:, at, 1] - ends[:, at, 0]) / n
            self._calibration.append((ahead, level, n, self._by_episode(row, t, inside[:, at]), width))

    def _add(self, ahead: int, metric: str, row: Tensor, t: Tensor, values: Float[Tensor, " n"]) -> None:
        n = self._by_episode(row, t, torch.ones_like(values))
        self._dynamics.append((ahead, metric, n, self._by_episode(row, t, values) / n))

    def _by_episode(self, row: Tensor, t: Tensor, values: Float[Tensor, " n"]) -> Float[Tensor, " B"]:
        """Sums over the steps of each episode, float64; in a fixed order on any device."""
        dense = torch.zeros(self._filtered.index.shape, dtype=torch.float64, device=row.device)
        dense[row, t] = values.double()
        return dense.sum(1)

    def dynamics(self) -> Dynamics:
        """What was collected, sorted by horizon and metric; episodes too short for a horizon are left out."""
        rows = sorted(self._dynamics, key=lambda made: made[:2])
        names = np.array([name for _, name, *_ in rows], dtype=np.str_)
        values = [[n for _, _, n, _ in rows], [value for *_, value in rows]]
        episode, horizon, metric, n, value = self._long([horizon for horizon, *_ in rows], names, values)
        return Dynamics(episode, horizon, metric, n.astype(np.int64), value)

    def calibration(self) -> Calibration:
        """What was collected, sorted by horizon and level."""
        rows = self._calibration
        levels = np.array([level for _, level, *_ in rows])
        values = [[n for *_, n, _, _ in rows], [inside for *_, inside, _ in rows], [width for *_, width in rows]]
        episode, horizon, level, n, inside, width = self._long([horizon for horizon, *_ in rows], levels, values)
        return Calibration(episode, horizon, level, n.astype(np.int64), inside.astype(np.int64), width)

    def _long(self, horizons: list[int], labels: NDArray, columns: list[list[Tensor]]) -> list[NDArray]:
        """From [B] per (horizon, label) to one row each; those without predictions left out. The first column counts them."""
        episodes = np.tile(np.array(self._filtered.episodes, np.int32), len(horizons))
        repeated = [np.repeat(values, len(self._filtered.episodes)) for values in (np.array(horizons, np.int32), labels)]
        values = [torch.cat(column).cpu().numpy() if column else np.zeros(0) for column in columns]
        there = values[0] > 0
        return [column[there] for column in (episodes, *repeated, *values)]
