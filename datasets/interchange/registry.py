"""Formats that can be imported, by name, and which of them a path holds."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import h5py

from datasets.errors import DataError
from datasets.interchange.episodes import EpisodeSource, Selection
from datasets.interchange.robomimic import RobomimicEpisodes
from datasets.interchange.vd4rl_hdf5 import Hdf5Episodes
from datasets.interchange.vd4rl_npz import NpzEpisodes

_HDF5 = (".hdf5", ".h5")


@dataclass(frozen=True)
class Format:
    """How one format is recognised and read; `claims` may be asked of any path that exists."""

    claims: Callable[[Path], bool]
    open: Callable[[Selection], EpisodeSource]


def _files(path: Path, suffixes: tuple[str, ...]) -> list[Path]:
    """The file itself, or a folder's own files, with one of these suffixes."""
    found = [path] if path.is_file() else sorted(path.iterdir())
    return [file for file in found if file.is_file() and file.suffix in suffixes]


def _holds(path: Path, *names: str) -> bool:
    """Whether a file is HDF5 with all of these at its root."""
    try:
        with h5py.File(path, "r") as file:
            return all(name in file for name in names)
    except OSError:
        return False


def _is_vd4rl(path: Path) -> bool:
    hdf5 = _files(path, _HDF5)
    return bool(_files(path, (".npz",))) or bool(hdf5 and _holds(hdf5[0], "observation", "step_type"))


def _open_vd4rl(chosen: Selection) -> EpisodeSource:
    if chosen.camera is not None:
        raise DataError(f"imports' camera is {chosen.camera!r}: V-D4RL has one camera; set it to null")
    npz, hdf5 = _files(chosen.path, (".npz",)), _files(chosen.path, _HDF5)
    if bool(npz) == bool(hdf5):
        found = "both kinds" if npz else "neither"
        raise DataError(
            f"{chosen.path}: *.npz or *.hdf5 files of V-D4RL expected, {found} found; name the folder that holds them"
        )
    return NpzEpisodes(chosen, npz) if npz else Hdf5Episodes(chosen, hdf5)


def _is_robomimic(path: Path) -> bool:
    return path.is_file() and _holds(path, "data") and not _is_vd4rl(path)


FORMATS: dict[str, Format] = {
    "vd4rl": Format(_is_vd4rl, _open_vd4rl),
    "robomimic": Format(_is_robomimic, RobomimicEpisodes),
}


def detect(path: Path) -> str:
    """The name of the format that `path` holds.

    Raises:
        DataError: it does not exist, or is of none of the formats.
    """
    if not path.exists():
        raise DataError(f"{path} is missing; set imports' path to the file or folder to read")
    for name, format_ in FORMATS.items():
        if format_.claims(path):
            return name
    known = "V-D4RL (a folder of *.npz or *.hdf5) or robomimic (one HDF5 file)"
    raise DataError(f"{path} is neither {known}: damaged, empty or foreign; set imports' path to such data")


def open_episodes(chosen: Selection, format_name: str | None) -> EpisodeSource:
    """Open a source; `format_name` None: whichever format it is.

    Raises:
        DataError: the path is missing, damaged, or not of this format.
    """
    if not chosen.path.exists():
        raise DataError(f"{chosen.path} is missing; set imports' path to the file or folder to read")
    return FORMATS[format_name or detect(chosen.path)].open(chosen)
