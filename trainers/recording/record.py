"""Record an imagined rollout: its rewards, and the rows of other episodes that look most like what is imagined."""

from collections.abc import Iterator
from typing import Any, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray

from datasets.episodes import Trajectories
from trainers.data import Rows, statistics_rows
from trainers.evaluate import Filtered, chosen, filter_episodes
from trainers.models import Predictor, S
from trainers.probes.targets import CONSTANT, varying
from trainers.recording.nearest import Known, nearest
from trainers.recording.spaces import Space, space_of

CONTEXT = 25  # steps observed before imagination; of a short episode at most a quarter
_AT_ONCE = 4096  # rows compared at once
_NUMBERS = 1 << 21  # and numbers held for them: more do not fit in the cache


class Recording(NamedTuple):
    """One row per step of a recorded episode but its first, in order.

    Attributes:
        episode, t: int32 [n]. horizon: int32 [n], steps imagined: 0 up to the context's end, then t less that.
        reward, reward_pred: float32 [n].
        space: str [n], where distances are taken (`spaces.Space`).
        nearest_episode, nearest_t: int32 [n], the row of another episode nearest to what the state at t says (decoded, where the
            model has a decoder); -1 where the model says nothing finite.
        nearest_distance: float32 [n], between the two (`nearest.Nearest`).
        nearest_state_distance: float32 [n], between that row's physics state and the true one: root mean square over the
            channels of the task's observation that vary, each in its standard deviations; nan where there are none.
        true_nearest_*: the same of the row nearest to what is there at t, which is as well as retrieval alone can do.
    """

    episode: NDArray[np.int32]
    t: NDArray[np.int32]
    horizon: NDArray[np.int32]
    reward: NDArray[np.float32]
    reward_pred: NDArray[np.float32]
    space: NDArray[np.str_]
    nearest_episode: NDArray[np.int32]
    nearest_t: NDArray[np.int32]
    nearest_distance: NDArray[np.float32]
    nearest_state_distance: NDArray[np.float32]
    true_nearest_episode: NDArray[np.int32]
    true_nearest_t: NDArray[np.int32]
    true_nearest_distance: NDArray[np.float32]
    true_nearest_state_distance: NDArray[np.float32]


def record(
    model: Predictor[S], data: Trajectories, rows: Rows, filtered: Filtered[S], episode: int, among: list[int]
) -> Recording:
    """Observe the first steps of an episode, imagine the others under its true actions, and look up every step.

    Args:
        rows: of one look.
        filtered: `episode` and others, under that look.
        among: episodes whose rows can be found, their values in `rows`; `episode` itself is left out.
    """
    space, device = space_of(model), rows.reward.device
    at = filtered.episodes.index(episode)
    length = int(filtered.lengths[at])
    context = min(CONTEXT, length // 4)
    here = torch.full((length,), at, device=device)
    with torch.inference_mode():
        true = chosen(filtered.states, here, torch.arange(length, device=device))
        seen = chosen(true, torch.arange(1, context + 1, device=device))
        predicted, told = [model.expected_reward(seen)], [space.of_state(seen)]
        state = chosen(true, torch.tensor([context], device=device))
        for t in range(context + 1, length):
            state = model.imagine_step(state, filtered.action[at : at + 1, t], sample=False)
            predicted.append(model.expected_reward(state))
            told.append(space.of_state(state))
        index = filtered.index[at, :length]
        shown = space.of_state(true) if space.of_row is None else space.of_row(rows.observation[index])
        known = _known(model, space, data, rows, [other for other in among if other != episode], len(filtered.episodes))
        queries = torch.cat([*told, shown[1:]])
        found = nearest(queries, torch.full((len(queries),), episode, device=device), known)
    steps, truth = np.arange(1, length, dtype=np.int32), index[1:].cpu().numpy()
    columns: list[NDArray[Any]] = []
    for row, distance in zip(*(part.cpu().split(length - 1) for part in found), strict=True):
        where = row.numpy()
        columns += [*_place(data, where), distance.float().numpy(), _state_distance(data, where, truth)]
    return Recording(
        np.full(length - 1, episode, np.int32), steps, np.maximum(steps - context, 0).astype(np.int32), data.reward[truth],
        torch.cat(predicted).float().cpu().numpy(), np.full(length - 1, space.name), *columns,
    )  # fmt: skip


def _known(
    model: Predictor[S], space: Space, data: Trajectories, rows: Rows, episodes: list[int], together: int
) -> Iterator[Known]:
    """Every row of `episodes` in the space, a few at a time; where they must be filtered first, `together` episodes at once."""
    device = rows.reward.device
    if space.of_row is not None:
        spans = [data.rows_of(episode) for episode in episodes]
        index = torch.cat([torch.arange(span.start, span.stop) for span in spans]).to(device)
        owner = torch.cat([torch.full((s.stop - s.start,), e) for s, e in zip(spans, episodes, strict=True)]).to(device)
        at_once = max(1, min(_AT_ONCE, _NUMBERS // rows.observation[0].numel()))
        for part, of in zip(index.split(at_once), owner.split(at_once), strict=True):
            yield Known(part, of, space.of_row(rows.observation[part]))
        return
    for first in range(0, len(episodes), together):
        filtered = filter_episodes(model, data, rows, episodes[first : first + together])
        within = torch.arange(filtered.index.shape[1], device=device) < filtered.lengths[:, None]
        owner = torch.tensor(filtered.episodes, device=device)
        for part in within.nonzero().split(_AT_ONCE):
            row, t = part.unbind(1)
            yield Known(filtered.index[row, t], owner[row], space.of_state(chosen(filtered.states, row, t)))


def _place(data: Trajectories, row: NDArray[np.int64]) -> tuple[NDArray[np.int32], NDArray[np.int32]]:
    """Episode and step [n] of rows [n]; -1 of those that are -1."""
    episode = np.searchsorted(data.episode_ends, row, side="right")
    t = row - data.episode_starts[episode]
    return np.where(row < 0, -1, episode).astype(np.int32), np.where(row < 0, -1, t).astype(np.int32)


def _state_distance(data: Trajectories, found: NDArray[np.int64], truth: NDArray[np.int64]) -> NDArray[np.float32]:
    """See `Recording.nearest_state_distance`, of rows [n] that were found beside the true ones [n]."""
    channels = varying(torch.from_numpy(data.observation[statistics_rows(data)]), CONSTANT)
    first, second = (channels.standardised(torch.from_numpy(data.observation[rows])) for rows in (found, truth))
    apart = (first - second).square().mean(1).sqrt().numpy()  # of no channels: nan
    return np.where(found < 0, np.float32("nan"), apart).astype(np.float32)
