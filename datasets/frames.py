"""Frames: WebDataset tars of whole episodes, one folder a look, readable by plain `webdataset`.

Folder `data/frames/TASK/`: `looks.json`, `LOOK/{shard:06d}.tar` with members `{episode:06d}_{t:06d}.png`, and
`manifest.json`. A tar's bytes depend on nothing but its frames (no clock, no user).
"""

import io
import json
import tarfile
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from datasets.errors import DataError
from datasets.manifest import digest_of, read_manifest, write_json
from datasets.png import decoded, encoded

LOOKS = "looks.json"
DEFAULT = "default"
Quality = Literal["fast", "standard"]
_AHEAD = 16  # frames that each of several threads decodes ahead
_END = bytes(2 * tarfile.BLOCKSIZE)  # what ends a tar


@dataclass(frozen=True)
class Look:
    """One way to see the same states.

    Attributes:
        variant: unique name, also the folder's (`default`, `texture-0.50-0`).
        axis: `default`, `texture`, `lighting`, `camera`, ...; several joined by `+`, or `all`.
        severity: 0 for the default look, in (0, 1] otherwise.
        seed: which of the axis's random draws.
        split: `id` if models may train on it, `ood` if it is held out.
        images: files of the user's that it is painted with.
    """

    variant: str
    axis: str
    severity: float
    seed: int
    split: str
    images: tuple[str, ...] = ()

    @property
    def paired(self) -> bool:
        """Whether it shows the same trajectories as the default look (a look of axis size has its own)."""
        return self.axis != "size"


DEFAULT_LOOK = Look(DEFAULT, DEFAULT, 0.0, 0, "id")


def look_from(raw: dict[str, Any]) -> Look:
    """A look as JSON keeps it (`dataclasses.asdict`)."""
    return Look(**raw | {"images": tuple(raw["images"])})


@dataclass(frozen=True)
class FrameShard:
    """One tar: `file` relative to the task's frame folder, whole `episodes`, and the trajectory rows they cover."""

    file: str
    episodes: list[int]
    rows: list[list[int]]


@dataclass(frozen=True)
class FrameSet:
    """All frames of one look, in row order."""

    look: Look
    shards: list[FrameShard]

    @property
    def rows(self) -> list[list[int]]:
        """Half-open row ranges [start, stop] that have frames, adjacent ones joined."""
        joined: list[list[int]] = []
        for start, stop in (r for shard in self.shards for r in shard.rows):
            if joined and joined[-1][1] == start:
                joined[-1][1] = stop
            else:
                joined.append([start, stop])
        return joined


@dataclass(frozen=True)
class Frames:
    """`looks.json`: what was rendered of one task, and how (`camera`: its name, or its index where it has none).

    `quality` is `imported` for frames of other projects, `own` for those that a user's own environment draws.
    """

    task: str
    size: int
    camera: str
    quality: Quality | Literal["imported", "own"]
    sets: list[FrameSet]

    def of(self, variant: str) -> FrameSet:
        """The frames of one look.

        Raises:
            DataError: the look was not rendered.
        """
        for frames in self.sets:
            if frames.look.variant == variant:
                return frames
        raise DataError(f"no frames of look {variant!r} were rendered for {self.task}")


def save_frames_index(frames: Frames, folder: Path) -> None:
    """Write `looks.json`."""
    write_json(folder / LOOKS, asdict(frames))


def load_frames_index(folder: Path) -> Frames:
    """Read `looks.json` of a published frame folder (the tars are checked by `verify`, or look by look when read).

    Raises:
        DataError: missing or damaged.
    """
    read_manifest(folder)
    try:
        raw = json.loads((folder / LOOKS).read_text())
        sets = [FrameSet(look_from(s["look"]), [FrameShard(**shard) for shard in s["shards"]]) for s in raw.pop("sets")]
        return Frames(sets=sets, **raw)
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise DataError(f"{folder / LOOKS} is damaged ({error}); remove {folder} and run render again") from None


def frames_digest(folder: Path, variant: str) -> str:
    """What identifies the frames of one look: sha256 over its tars' checksums, in order."""
    files = read_manifest(folder)["files"]
    return digest_of([entry["sha256"] for name, entry in sorted(files.items()) if name.startswith(f"{variant}/")])


def write_frame_shard(path: Path, frames: Iterable[tuple[int, int, NDArray[np.uint8]]]) -> None:
    """Write one tar of (episode, t, uint8 [H, W, 3]) under a temporary name, then rename it."""
    temporary = path.with_name(path.name + ".tmp")
    with tarfile.open(temporary, "w", format=tarfile.USTAR_FORMAT) as tar:
        for episode, t, frame in frames:
            data = encoded(frame)
            info = tarfile.TarInfo(f"{episode:06d}_{t:06d}.png")
            info.size, info.mode, info.mtime = len(data), 0o644, 0
            tar.addfile(info, io.BytesIO(data))
    temporary.replace(path)


def read_frame_shard(
    path: Path, keep: Callable[[int, int], bool] | None = None, threads: int = 0
) -> Iterator[tuple[int, int, NDArray[np.uint8]]]:
    """Decode one tar in order: (episode, t, uint8 [H, W, 3]).

    Args:
        keep: (episode, t) -> whether to decode a frame; others are skipped.
        threads: that decode ahead of the consumer; 0: its own.

    Raises:
        DataError: the tar or one of its images is truncated or damaged.
    """
    try:
        with tarfile.open(path, "r:") as tar:
            kept = _images(tar, keep)
            yield from _decoded_ahead(kept, threads) if threads else ((e, t, decoded(data)) for e, t, data in kept)
            file = tar.fileobj
            file.seek(tar.offset)
            if file.read(len(_END)) != _END:  # tarfile takes a damaged header, or a cut between two members, for the end
                raise ValueError(f"a member that is no frame, or a cut, at byte {tar.offset}")
    except (tarfile.TarError, OSError, ValueError, SyntaxError) as error:
        raise DataError(f"{path} is truncated or damaged ({error}); remove it and run render again") from None


def _images(tar: tarfile.TarFile, keep: Callable[[int, int], bool] | None) -> Iterator[tuple[int, int, bytes]]:
    for member in tar:
        episode, t = (int(part) for part in Path(member.name).stem.split("_"))
        if keep is not None and not keep(episode, t):
            continue
        data = tar.extractfile(member)
        if data is None:
            raise ValueError(f"{member.name} is not a file")
        yield episode, t, data.read()


def _decoded_ahead(images: Iterator[tuple[int, int, bytes]], threads: int) -> Iterator[tuple[int, int, NDArray[np.uint8]]]:
    with ThreadPoolExecutor(threads) as pool:
        waiting: deque[tuple[int, int, Future[NDArray[np.uint8]]]] = deque()
        try:
            for episode, t, data in images:
                waiting.append((episode, t, pool.submit(decoded, data)))
                if len(waiting) > _AHEAD * threads:
                    episode, t, frame = waiting.popleft()
                    yield episode, t, frame.result()
            for episode, t, frame in waiting:
                yield episode, t, frame.result()
        finally:  # of a consumer that leaves early
            for _, _, frame in waiting:
                frame.cancel()


def read_frame_rows(
    folder: Path, frames: FrameSet, episode_starts: NDArray[np.int64], rows: NDArray[np.int64], threads: int = 0
) -> Iterator[NDArray[np.uint8]]:
    """Decode the frames of given trajectory rows, streaming: one uint8 [H, W, 3] a row.

    Args:
        folder: `data/frames/TASK`.
        episode_starts: int64 [n], each episode's first row.
        rows: ascending; all must lie in `frames.rows`. Tars without any of them are not opened.
        threads: see `read_frame_shard`.

    Raises:
        DataError: a tar is damaged, or lacks one of its frames.
    """
    wanted = set(rows.tolist())
    found = 0
    for shard in frames.shards:
        inside = np.searchsorted(rows, np.asarray(shard.rows).T)  # of the first wanted row from each start, and stop, on
        if (inside[0] == inside[1]).all():
            continue
        for _, _, frame in read_frame_shard(folder / shard.file, lambda e, t: int(episode_starts[e]) + t in wanted, threads):
            found += 1
            yield frame
    if found != len(wanted):
        raise DataError(f"{folder / frames.look.variant}: {found} of {len(wanted)} frames found; remove it and run render again")
