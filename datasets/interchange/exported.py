"""What every exporter is given: the episodes that have frames of one look, one in memory at a time."""

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import groupby
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from datasets.episodes import Episode, EpisodeFacts, EpisodeIndex
from datasets.errors import DataError
from datasets.frames import FrameSet, read_frame_shard
from datasets.trajectories import TrajectoryReader


@dataclass(frozen=True)
class ExportedEpisode:
    """One episode: `number` in the trajectory file, its rows, what is known of it, and its frames uint8 [t, H, W, 3]."""

    number: int
    rows: Episode
    facts: EpisodeFacts
    frames: NDArray[np.uint8]


def exported_episodes(trajectories: TrajectoryReader, folder: Path, frames: FrameSet) -> Iterator[ExportedEpisode]:
    """The episodes of one look, in the order of its tars (training first).

    Args:
        folder: `data/frames/TASK`.

    Raises:
        DataError: a tar is damaged, or does not hold one frame a row.
    """
    for shard in frames.shards:
        path = folder / shard.file
        found = []
        for episode, members in groupby(read_frame_shard(path), key=lambda member: member[0]):
            images = np.stack([frame for _, _, frame in members])
            rows = trajectories.episode(episode)
            if len(images) != len(rows.reward):
                raise DataError(
                    f"{path}: {len(images)} frames of episode {episode}, {len(rows.reward)} expected; render it again"
                )
            found.append(episode)
            yield ExportedEpisode(episode, rows, _facts(trajectories.index, episode), images)
        if found != shard.episodes:
            raise DataError(f"{path} holds episodes {found}, {shard.episodes} expected; remove it and run render again")


def _facts(index: EpisodeIndex, episode: int) -> EpisodeFacts:
    return EpisodeFacts(index.quality[episode], int(index.seed[episode]), bool(index.validation[episode]), index.variant[episode])
