"""Looks of a task as rows: what the trainer draws windows from and what evaluation runs through."""

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn.functional import pad

from datasets.embeddings import Embeddings
from datasets.episodes import Trajectories
from datasets.errors import DataError
from datasets.mapped import MappedRows
from datasets.tokens import StoredTokens
from trainers.worldmodel import Batch
from trainers.worldmodel.types import each

Held = Embeddings[NDArray[Any]]
Stored = Held | Embeddings[MappedRows] | Embeddings[StoredTokens]
_CHECKED = 65_536  # rows, or tokens, looked at together


class Rows(NamedTuple):
    """All rows of a trajectory file, [T, ...], on one device; `observation` keeps its stored dtype; `frames` as in `Batch`."""

    observation: Tensor
    action: Tensor
    reward: Tensor
    is_first: Tensor
    is_terminal: Tensor
    frames: Tensor | None = None

    def windows(self, starts: Tensor, length: int) -> Batch:
        """Batch [B, L, ...] of the rows from int64 `starts` [B] on: one copy of each window, as it lies."""
        return Batch._make(each(lambda values: torch.index_select(every_window(values, length), 0, starts), self))


def every_window(values: Tensor, length: int) -> Tensor:
    """A view [T - L + 1, L, ...] of contiguous rows [T, ...]: the window from each row on, nothing copied."""
    return values.as_strided((len(values) - length + 1, length, *values.shape[1:]), (values.stride(0), *values.stride()))


def statistics_rows(data: Trajectories, most: int = 4096) -> NDArray[np.int64]:
    """int64, at most `most` rows evenly spaced over the training episodes: what a model's standardisation is fixed from."""
    rows = np.concatenate([np.arange(s.start, s.stop) for s in map(data.rows_of, data.episodes(validation=False))])
    return rows[np.linspace(0, len(rows) - 1, min(most, len(rows))).astype(np.int64)]


def load_rows(data: Trajectories, embeddings: Held, episodes: list[int], device: str = "cpu", frames: Held | None = None) -> Rows:
    """Put rewards, actions and one look's embeddings side by side.

    Args:
        data: the trajectories.
        embeddings: row for row the same file.
        episodes: those that will be read; their embeddings must be there.
        device: cpu or cuda.
        frames: that the embeddings were made of, where a model reconstructs them.

    Raises:
        DataError: the embeddings are of another trajectory file, lack one of these episodes, or are not finite; or so the frames.
    """
    check_rows(data, embeddings, episodes)
    arrays: tuple[NDArray[Any], ...] = (embeddings.values, data.action, data.reward, data.is_first, data.is_terminal)
    if frames is not None:
        check_frames(data, embeddings, frames, episodes)
        arrays += (frames.values,)
    return Rows(*(torch.from_numpy(np.ascontiguousarray(array)).to(device) for array in arrays))


def check_rows(data: Trajectories, embeddings: Stored, episodes: list[int], what: str = "look") -> None:
    """That the embeddings are of these trajectories, that the rows of `episodes` are there, and that they are finite.

    Raises:
        DataError: they are not; begins with `what` they are.
    """
    values, name = embeddings.values, f"{what} {embeddings.attributes.get('variant', 'embeddings')}"
    if values.shape[0] != len(data.reward):
        raise DataError(f"{name}: {values.shape[0]} rows encoded, the trajectories have {len(data.reward)}; run encode again")
    wanted = np.concatenate([np.arange(s.start, s.stop) for s in map(data.rows_of, episodes)])
    missing = np.setdiff1d(wanted, embeddings.rows)
    if len(missing):
        raise DataError(f"{name}: row {missing[0]} of {data.task} has no embedding; run encode again")
    if values.dtype == np.uint8:
        return
    at_once = max(1, _CHECKED // max(1, int(np.prod(values.shape[1:-1]))))
    for part in np.array_split(wanted, -(-len(wanted) // at_once)):
        read = values[part] if isinstance(values, np.ndarray) else values.rows(part)
        finite = np.isfinite(read).all(axis=tuple(range(1, read.ndim)))
        if not finite.all():
            row = part[~finite][0]
            raise DataError(f"{name}: the embedding of row {row} is not finite; check the encoder and run encode again")


def check_frames(data: Trajectories, embeddings: Stored, frames: Stored, episodes: list[int]) -> None:
    """That frames are those that the embeddings of a look were made of, row for row, and that those of `episodes` are there.

    Raises:
        DataError: they are not.
    """
    check_rows(data, frames, episodes, "frames of look")
    embedded, given = (stored.attributes.get("frames_digest") for stored in (embeddings, frames))
    if embedded != given:
        look = frames.attributes.get("variant")
        raise DataError(f"frames of look {look}: not those that the embeddings were made of; run encode of both again")


def join_rows(parts: Sequence[Rows], starts: Sequence[NDArray[np.int64]]) -> tuple[Rows, list[NDArray[np.int64]]]:
    """Several looks of one trajectory file, or several tasks, one after another.

    Args:
        parts: each [T, ...], with observations of one shape; actions are padded with zeros to the widest.
        starts: int64, the rows of each part at which a window may start.

    Returns:
        Rows [sum of T, ...], and the starts of each part in them, the groups of a `WindowSampler`.
    """
    if len(parts) == 1:
        return parts[0], list(starts)
    widest = max(part.action.shape[1] for part in parts)
    padded = [part._replace(action=pad(part.action, (0, widest - part.action.shape[1]))) for part in parts]
    joined = Rows._make(None if values[0] is None else torch.cat(values) for values in zip(*padded, strict=True))
    return joined, [own + first for own, first in zip(starts, firsts([len(part.reward) for part in parts]), strict=True)]


def firsts(lengths: Sequence[int]) -> NDArray[np.int64]:
    """int64, where each of several parts begins when they lie one after another."""
    return np.cumsum([0, *lengths[:-1]], dtype=np.int64)
