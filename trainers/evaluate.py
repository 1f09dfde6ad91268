"""Reward prediction on whole held-out episodes: filtering, and open loop from every start with the true actions."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Generic, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from datasets.episodes import Trajectories
from trainers.data import Rows
from trainers.models import Predictor, S


class Predictions(NamedTuple):
    """One row per predicted reward, sorted by (episode, t, horizon).

    Attributes:
        episode, t, horizon: int32 [n]; `t` is the step within the episode whose reward is predicted from a context that
            ends at `t - horizon`.
        reward, reward_pred: float32 [n].
    """

    episode: NDArray[np.int32]
    t: NDArray[np.int32]
    horizon: NDArray[np.int32]
    reward: NDArray[np.float32]
    reward_pred: NDArray[np.float32]


@dataclass(frozen=True)
class Filtered(Generic[S]):
    """Filtered states of whole episodes, padded to the longest.

    Attributes:
        states: the model's, [B, L, ...].
        kl: float [B, L], of `Predictor.filter_with_kl`.
        index: int64 [B, L], rows of the trajectory file.
        action, reward: float [B, L, ...]; like the states, an episode's last row repeated as padding.
        lengths: int64 [B].
        episodes: index in the trajectory file, one per row of the batch.
    """

    states: S
    kl: Tensor | None
    index: Tensor
    action: Tensor
    reward: Tensor
    lengths: Tensor
    episodes: list[int]


def filter_episodes(model: Predictor[S], data: Trajectories, rows: Rows, episodes: list[int]) -> Filtered[S]:
    """Filter whole episodes in one batch (no noise: equal inputs, equal outputs)."""
    device = rows.reward.device
    slices = [data.rows_of(episode) for episode in episodes]
    lengths = torch.tensor([s.stop - s.start for s in slices], device=device)
    steps = torch.arange(int(lengths.max()), device=device)
    starts = torch.tensor([s.start for s in slices], device=device)
    index = starts[:, None] + torch.minimum(steps, lengths[:, None] - 1)  # (B, L), the last row repeated as padding
    with torch.inference_mode():
        states, kl = model.filter_with_kl(rows.observation, index, rows.action[index], rows.is_first[index])
    return Filtered(states, kl, index, rows.action[index], rows.reward[index], lengths, episodes)


Visit = Callable[[int, Tensor, Tensor, S], None]


def predict_rewards(
    model: Predictor[S], filtered: Filtered[S], horizon: int, long_starts: int, visit: Visit[S] | None = None
) -> Predictions:
    """Predict the reward of every step but an episode's first, at every horizon.

    Args:
        model: the one that filtered.
        filtered: episodes [B, L].
        horizon: horizons 0 (filtering) to this are predicted from every start.
        long_starts: starts per episode, evenly spaced from its first row on, whose open loop runs to the episode's end.
        visit: is shown, for each horizon from 0 to `horizon`: that, the index in the batch and t of each prediction (int64 [n]),
            and the states [n, ...] that the predictions are made from.
    """
    steps = torch.arange(filtered.reward.shape[1], device=filtered.reward.device)
    within = steps < filtered.lengths[:, None]
    with torch.inference_mode():
        row, t = (within & (steps > 0)).nonzero().unbind(1)
        direct = model.expected_reward(filtered.states)  # (B, L)
        if visit is not None:
            visit(0, row, t, chosen(filtered.states, row, t))
        parts: list[Columns] = [(row, t, torch.zeros_like(t), filtered.reward[row, t], direct[row, t])]
        every = (within & (steps < filtered.lengths[:, None] - 1)).nonzero()
        parts += _open_loop(model, filtered, every, 1, horizon, visit)
        evenly = torch.arange(long_starts, device=steps.device) * filtered.lengths[:, None] // max(long_starts, 1)
        first = torch.zeros_like(within).scatter_(1, evenly, True) if long_starts else torch.zeros_like(within)
        parts += _open_loop(model, filtered, (first & within).nonzero(), horizon + 1, len(steps) - 1)
    columns = [torch.cat(column).cpu().numpy() for column in zip(*parts, strict=True)]
    columns[0] = np.asarray(filtered.episodes)[columns[0]]
    order = np.lexsort(columns[2::-1])
    episode, at, ahead = (column[order].astype(np.int32) for column in columns[:3])
    return Predictions(episode, at, ahead, columns[3][order], columns[4][order])


Columns = tuple[Tensor, Tensor, Tensor, Tensor, Tensor]  # index in the batch, t, horizon, reward, prediction; each [n]


def _open_loop(
    model: Predictor[S], filtered: Filtered[S], starts: Tensor, first: int, last: int, visit: Visit[S] | None = None
) -> list[Columns]:
    """Imagine from contexts that end at `starts` (int64 [n, 2]) under the true actions; horizons `first` to `last`."""
    row, at = starts.unbind(1)
    parts: list[Columns] = []
    state = chosen(filtered.states, row, at)
    for ahead in range(1, last + 1):
        goes_on = at + ahead < filtered.lengths[row]
        if not goes_on.all():
            row, at, state = row[goes_on], at[goes_on], chosen(state, goes_on)
        if not len(row):
            break
        t = at + ahead
        state = model.imagine_step(state, filtered.action[row, t], sample=False)
        if visit is not None:
            visit(ahead, row, t, state)
        if ahead >= first:
            parts.append((row, t, torch.full_like(t, ahead), filtered.reward[row, t], model.expected_reward(state)))
    return parts


def chosen(state: S, *index: Tensor) -> S:
    """The entries of every tensor of a state at `index`."""
    return type(state)(*(part[index] for part in state))


class Latents(NamedTuple):
    """Sampled filtered states.

    Attributes:
        episode, t: int32 [n].
        reward: float32 [n].
        feature: float16 [n, F].
    """

    episode: NDArray[np.int32]
    t: NDArray[np.int32]
    reward: NDArray[np.float32]
    feature: NDArray[np.float16]


def sample_latents(model: Predictor[S], filtered: Filtered[S], count: int) -> Latents:
    """At most `count` filtered features, evenly spaced over all steps but the episodes' first."""
    steps = torch.arange(filtered.reward.shape[1], device=filtered.reward.device)
    at = ((steps < filtered.lengths[:, None]) & (steps > 0)).nonzero()
    if len(at) > count:
        at = at[torch.from_numpy(np.linspace(0, len(at) - 1, count).astype(np.int64)).to(at.device)]
    row, t = at.unbind(1)
    feature = model.feature(chosen(filtered.states, row, t))
    episode = np.asarray(filtered.episodes)[row.cpu().numpy()].astype(np.int32)
    return Latents(
        episode, t.cpu().numpy().astype(np.int32), filtered.reward[row, t].cpu().numpy(), feature.cpu().numpy().astype(np.float16)
    )  # fmt: skip
