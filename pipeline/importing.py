"""Imported tasks (`imports` in params.yaml): what stands in for simulating and rendering where data comes from elsewhere.

`collect` and `render` call these; everything after them sees a task like any other, with one look and no environment. Both read
the source an episode at a time; `render` refuses one that is not, byte for byte, what `collect` read.
"""

from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from datasets.errors import DataError
from datasets.frames import DEFAULT, DEFAULT_LOOK, Frames, FrameSet
from pipeline.log import log
from pipeline.params import Import

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from datasets.episodes import EpisodeIndex
    from datasets.interchange.episodes import EpisodeSource

CODE = ("pipeline/importing.py", *(f"datasets/interchange/{n}.py" for n in (
    "convert", "episodes", "registry", "robomimic", "vd4rl_hdf5", "vd4rl_npz",
)))  # fmt: skip


def open_import(spec: Import) -> "EpisodeSource":
    """The source of an imported task.

    Raises:
        DataError: it is missing, damaged, or not of its format.
    """
    from datasets.interchange.episodes import Selection
    from datasets.interchange.registry import open_episodes

    return open_episodes(Selection(Path(spec.path), spec.camera, spec.quality, spec.validation), spec.format)


def import_digest(spec: Import) -> str:
    """Hex sha256 of what the source holds: for the key of `collect`. Reads it once, as a stream.

    Raises:
        DataError: as `open_import`.
    """
    from datasets.interchange.episodes import source_digest

    return source_digest(open_import(spec))


def import_trajectories(spec: Import, task: str, out: Path) -> None:
    """Write a source's trajectories to the HDF5 file `out` (the caller renames it); every episode is read and checked whole.

    `meta` holds `source_sha256`, `camera` and, where the source knows them, `control_timestep` (seconds) and
    `action_repeat`.

    Raises:
        DataError: the source is missing, damaged, or not of its format.
    """
    from datasets.episodes import Meta
    from datasets.interchange.episodes import read_episodes, source_digest
    from datasets.trajectories import write_trajectories

    source = open_import(spec)
    meta: Meta = {"source_sha256": source_digest(source), "camera": source.camera, **source.meta}
    write_trajectories(out, task, ((episode.rows, episode.facts) for episode in read_episodes(source)), meta)
    held = sum(facts.validation for facts in source.facts)
    log(f"import {task}: {len(source.facts)} episodes from {spec.path}, {held} of them held out")


def import_frames(
    spec: Import, task: str, index: "EpisodeIndex", result: Path, episodes_per_shard: int,
    track: Callable[[Iterable[Path], int, str, str], Iterable[Path]],
) -> Frames:  # fmt: skip
    """Write the default look's tars of all episodes, into `result`; tars that are there are kept.

    Args:
        index: of the trajectories that `import_trajectories` wrote.
        result: where `default/*.tar` go.
        track: `pipeline.log.track`, or what behaves like it.

    Returns:
        What `save_frames_index` takes; size and camera are the source's.

    Raises:
        DataError: the source is missing, damaged, or not the one that the trajectories came from.
    """
    from datasets.frames import write_frame_shard
    from datasets.interchange.episodes import source_digest

    source = open_import(spec)
    same = (index.meta.get("source_sha256"), [facts.validation for facts in source.facts])
    if same != (source_digest(source), index.validation.tolist()):
        raise DataError(f"{spec.path} changed since {task}'s trajectories were imported; run collect again")
    shards = index.shards(DEFAULT, list(range(len(index.episode_ends))), episodes_per_shard)
    (result / DEFAULT).mkdir(parents=True, exist_ok=True)

    def written() -> Iterator[Path]:
        for shard in shards:
            path = result / shard.file
            if not path.exists():
                write_frame_shard(path, _members(source, shard.episodes))
            yield path

    for _ in track(written(), len(shards), "shard", f"import {task}"):
        pass
    size = int(source.read(0).frames.shape[1])
    return Frames(task, size, source.camera, "imported", [FrameSet(DEFAULT_LOOK, shards)])


def _members(source: "EpisodeSource", episodes: list[int]) -> "Iterator[tuple[int, int, NDArray[np.uint8]]]":
    for number in episodes:
        for t, frame in enumerate(source.read(number).frames):
            yield number, t, frame
