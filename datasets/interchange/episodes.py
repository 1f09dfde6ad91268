"""What every importer gives: episodes in Encore's rows, with their frames, read one at a time."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from datasets.episodes import Episode, EpisodeFacts, Meta
from datasets.errors import DataError
from datasets.manifest import digest_of, sha256_file


@dataclass(frozen=True)
class ImportedEpisode:
    """One episode of somebody else's data.

    Attributes:
        rows: as `datasets` defines rows; `physics` is float64 [t, 0], `observation` float32 [t, O] (O = 0 where there is none).
        facts: quality as the user names it, seed -1.
        frames: uint8 [t, H, H, 3], exactly the file's pixels.
    """

    rows: Episode
    facts: EpisodeFacts
    frames: NDArray[np.uint8]


@dataclass(frozen=True)
class Selection:
    """What to read and how to label it.

    Attributes:
        path: a file or a folder.
        camera: key of the images, where the format has several; None: the only one.
        quality: the behaviour's name, of every episode.
        validation: share of the episodes to hold out, where the data does not say which.
    """

    path: Path
    camera: str | None
    quality: str
    validation: float


class EpisodeSource(Protocol):
    """An opened source; episodes are numbered as Encore stores them, training first.

    Attributes:
        files: all that is read.
        facts: one entry an episode.
        camera: key of the images.
        meta: `control_timestep` (seconds) and `action_repeat`, where the source knows them.
    """

    files: list[Path]
    facts: list[EpisodeFacts]
    camera: str
    meta: Meta

    def read(self, number: int) -> ImportedEpisode:
        """One episode.

        Raises:
            DataError: the file is damaged, or not what its format says.
        """
        ...


def read_episodes(source: EpisodeSource) -> Iterator[ImportedEpisode]:
    """All episodes in order, one in memory at a time.

    Raises:
        DataError: as `read`, or two episodes differ in the size of action, observation or frame.
    """
    first: tuple[Any, ...] | None = None
    names = ("action size", "observation size", "frame shape")
    for number in range(len(source.facts)):
        episode = source.read(number)
        shapes = (episode.rows.action.shape[1:], episode.rows.observation.shape[1:], episode.frames.shape[1:])
        first = first or shapes
        for name, expected, found in zip(names, first, shapes, strict=True):
            if expected != found:
                where = ", ".join(file.name for file in source.files[:3])
                raise DataError(f"{where}: episode {number} has {name} {found}, episode 0 has {expected}; import them apart")
        yield episode


def source_digest(source: EpisodeSource) -> str:
    """Hex sha256 of what a source's files hold, read once as a stream; names count, places do not."""
    return digest_of([[file.name, sha256_file(file)] for file in source.files])


def held_out(selection: Selection, count: int) -> list[bool]:
    """Which of `count` episodes to hold out: `selection`'s share of them, at least one and not all, spread evenly.

    Raises:
        DataError: there are fewer than two episodes.
    """
    if count < 2:
        raise DataError(f"{selection.path}: episodes found: {count}; at least 2 are needed, one of them to hold out")
    chosen = min(max(round(selection.validation * count), 1), count - 1)
    numbers = {(2 * i + 1) * count // (2 * chosen) for i in range(chosen)}
    return [number in numbers for number in range(count)]
