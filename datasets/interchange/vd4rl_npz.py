"""V-D4RL's npz episodes (its 64-pixel data), one file an episode, as DreamerV2 writes them.

Arrays image uint8 [t, H, W, 3], action [t, A], reward, discount, is_first, is_last, is_terminal [t]; older files lack the flags.
Row t is what arrived with image t: `action[t]` led to it, zeros in row 0, which is Encore's own convention.
Source: conglu1997/v-d4rl, conversion_scripts/hdf5_to_npz.py and npz_to_hdf5.py (`load_episodes`).
"""

from pathlib import Path
from typing import Any

import numpy as np

from datasets.episodes import EpisodeFacts, Meta
from datasets.errors import DataError
from datasets.interchange.convert import arrive_together, reading, square_frames
from datasets.interchange.episodes import ImportedEpisode, Selection, held_out

EXPECTED = "a V-D4RL npz episode with arrays image, action, reward, discount"
_REQUIRED = ("image", "action", "reward", "discount")


class NpzEpisodes:
    """Satisfies `EpisodeSource`: files in the order of their names, held-out ones last."""

    camera = "image"

    def __init__(self, chosen: Selection, files: list[Path]) -> None:
        held = held_out(chosen, len(files))
        pairs = sorted(zip(held, sorted(files), strict=True), key=lambda pair: pair[0])
        self.files = [file for _, file in pairs]
        self.facts = [EpisodeFacts(chosen.quality, -1, last) for last, _ in pairs]
        self.meta: Meta = {}

    def read(self, number: int) -> ImportedEpisode:
        path = self.files[number]
        arrays: dict[str, Any] = {}
        with reading(path, EXPECTED), open(path, "rb") as stream, np.load(stream, allow_pickle=False) as file:
            for name in (*_REQUIRED, *(set(file.files) & {"is_first", "is_terminal"})):
                arrays[name] = file[name]
        if np.flatnonzero(arrays.get("is_first", 0)).any():
            raise DataError(f"{path}: is_first is set after row 0; one episode a file expected, split the file")
        terminal = arrays.get("is_terminal", arrays["discount"] == 0)
        rows = arrive_together(str(path), arrays["action"], arrays["reward"], terminal, arrays["discount"])
        return ImportedEpisode(rows, self.facts[number], square_frames(str(path), arrays["image"], len(rows.reward)))
