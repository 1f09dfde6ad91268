"""Episodes that the agent played, in memory and on disk."""

import zipfile
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from datasets.errors import DataError


class Episode(NamedTuple):
    """One episode, row for row as in `datasets.trajectories.Trajectories`; or, without the leading axis, one row of it.

    Attributes:
        observation: [T, *shape], what the world model reads: float vectors or uint8 frames.
        action: float32 [T, A] in the task's units; the action that led to the row, zeros where `is_first`.
        reward: float32 [T].
        is_first, is_terminal: bool [T].
        frames: uint8 [T, H, W, 3], where the world model's latents reconstruct them beside vectors.
    """

    observation: NDArray[Any]
    action: NDArray[np.float32]
    reward: NDArray[np.float32]
    is_first: NDArray[np.bool_]
    is_terminal: NDArray[np.bool_]
    frames: NDArray[np.uint8] | None = None

    @property
    def total(self) -> float:
        """The return: the undiscounted sum of the rewards."""
        return float(self.reward.sum(dtype=np.float64))


def save_episodes(path: Path, episodes: list[Episode]) -> None:
    """Write the episodes of one round under a temporary name, then rename."""
    named = [(f"{i}/{name}", values) for i, episode in enumerate(episodes) for name, values in episode._asdict().items()]
    arrays = {name: values for name, values in named if values is not None}
    temporary = path.with_name(path.name + ".tmp")
    with open(temporary, "wb") as file:
        np.savez(file, **arrays)
    temporary.replace(path)


def load_episodes(path: Path) -> list[Episode]:
    """Read what `save_episodes` wrote.

    Raises:
        DataError: the file is missing or damaged.
    """
    try:
        with open(path, "rb") as opened, np.load(opened, allow_pickle=False) as file:
            count = 1 + max(int(name.split("/")[0]) for name in file.files)
            names = [name for name in Episode._fields if name != "frames" or "0/frames" in file]
            return [Episode(*(file[f"{i}/{name}"] for name in names)) for i in range(count)]
    except (OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile) as error:
        raise DataError(f"{path} is missing or damaged ({error}); remove {path.parent} and run finetune again") from None
