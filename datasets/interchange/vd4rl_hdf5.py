"""V-D4RL's HDF5 files (its 84-pixel data), many episodes a file, as DrQ-v2's buffer reads them.

Datasets observation uint8 [T, 3, H, W] (channels first; frames are stacked on loading, a stored stack's last frame is the
newest), action [T, A], reward, discount, step_type [T] (dm_env's: 0 first, 1 mid, 2 last, stored as floats). Row t is what
arrived with observation t, as in Encore. Source: conglu1997/v-d4rl, drqbc/utils.py (`get_timestep_from_idx`),
drqbc/numpy_replay_buffer.py (`latest_obs`), conversion_scripts/npz_to_hdf5.py.
"""

from pathlib import Path
from typing import Any, NamedTuple

import h5py
import numpy as np

from datasets.episodes import EpisodeFacts, Meta
from datasets.errors import DataError
from datasets.interchange.convert import arrive_together, reading, square_frames
from datasets.interchange.episodes import ImportedEpisode, Selection, held_out

EXPECTED = "a V-D4RL HDF5 file with datasets observation, action, reward, discount, step_type"
_COLUMNS = ("observation", "action", "reward", "discount", "step_type")
_FIRST = 0


class _Span(NamedTuple):
    file: Path
    start: int
    stop: int


class Hdf5Episodes:
    """Satisfies `EpisodeSource`: files by name, episodes as they lie in them, held-out ones last."""

    camera = "observation"

    def __init__(self, chosen: Selection, files: list[Path]) -> None:
        self.files = sorted(files)
        spans = [span for file in self.files for span in _spans(file)]
        held = held_out(chosen, len(spans))
        pairs = sorted(zip(held, range(len(spans)), strict=True))
        self._spans = [spans[number] for _, number in pairs]
        self.facts = [EpisodeFacts(chosen.quality, -1, last) for last, _ in pairs]
        self.meta: Meta = {}

    def read(self, number: int) -> ImportedEpisode:
        path, start, stop = self._spans[number]
        where = f"{path}, rows {start} to {stop}"
        arrays: dict[str, Any] = {}
        with reading(path, EXPECTED), h5py.File(path, "r") as file:
            for name in _COLUMNS:
                arrays[name] = file[name][start:stop]
        rows = arrive_together(
            where, arrays["action"], arrays["reward"], arrays["discount"] == 0, arrays["discount"]
        )  # row 0 is never terminal
        return ImportedEpisode(rows, self.facts[number], square_frames(where, arrays["observation"], stop - start))


def _spans(path: Path) -> list[_Span]:
    """The episodes of one file: each begins at a FIRST step."""
    with reading(path, EXPECTED), h5py.File(path, "r") as file:
        lengths = {name: len(file[name]) for name in _COLUMNS}
        steps = np.asarray(file["step_type"][:])
    if len(set(lengths.values())) != 1:
        raise DataError(f"{path}: its datasets differ in length ({lengths}); it is cut short, fetch it again")
    if not len(steps) or steps.ndim != 1 or steps[0] != _FIRST:
        found = f"begins with step_type {steps[0]}" if steps.ndim == 1 and len(steps) else "is empty"
        raise DataError(f"{path} {found}; every file must begin with an episode's first step (0): fetch or split it again")
    starts = np.flatnonzero(steps == _FIRST)
    return [_Span(path, int(a), int(b)) for a, b in zip(starts, [*starts[1:], len(steps)], strict=True)]
