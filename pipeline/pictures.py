"""Pictures for people, made of rendered frames as they lie on disk: a contact sheet, and a short video of each look."""

from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw

from datasets.episodes import EpisodeIndex
from datasets.film import enlarged, save_film
from datasets.frames import DEFAULT, Frames, FrameSet, read_frame_shard

_GAP, _LABEL, _MARGIN = 4, 14, 92
_VIDEO_FRAMES = 60


def save_contact_sheet(path: Path, folder: Path, frames: Frames, index: EpisodeIndex) -> None:
    """One row an axis (and draw), one column a severity, the default look first; each cell the same moment of an episode.

    Args:
        folder: of `frames`.
        index: the trajectories' episodes; the moment is the middle of the last held-out one.
    """
    shifted = [s for s in frames.sets if s.look.axis != DEFAULT]
    columns = sorted({s.look.severity for s in shifted})
    lines = list(dict.fromkeys(_line(s) for s in shifted))
    cells = {(_line(s), s.look.severity): _moment(folder, s, index) for s in shifted}
    plain = _moment(folder, frames.of(DEFAULT), index)
    cell = len(plain)
    width, height = _MARGIN + (1 + len(columns)) * (cell + _GAP), _LABEL + max(len(lines), 1) * (cell + _GAP)
    sheet = Image.new("RGB", (width, height), "white")
    draw = ImageDraw.Draw(sheet)
    for column, title in enumerate(["default", *(f"severity {severity:g}" for severity in columns)]):
        draw.text((_MARGIN + column * (cell + _GAP), 0), title, fill="black")
    for number, line in enumerate(lines or [("", "", 0)]):
        y = _LABEL + number * (cell + _GAP)
        draw.text((2, y + cell // 2 - 12), "\n".join(part for part in _title(line) if part), fill="black")
        for column, severity in enumerate([0.0, *columns]):
            picture = plain if severity == 0 and line[0] != "size" else cells.get((line, severity))
            if picture is not None:
                sheet.paste(Image.fromarray(picture), (_MARGIN + column * (cell + _GAP), y))
    sheet.save(path, format="PNG")


def save_videos(out: Path, folder: Path, frames: Frames, index: EpisodeIndex) -> None:
    """One looping WebP a look: its last held-out episode, every other step of it, up to five seconds.

    Args:
        out: folder, made where it is missing.
        folder: of `frames`.
    """
    out.mkdir(parents=True, exist_ok=True)
    for looked in frames.sets:
        save_film(out / f"{looked.look.variant}.webp", _episode(folder, looked, index)[::2][:_VIDEO_FRAMES])


def _line(frames: FrameSet) -> tuple[str, str, int]:
    look = frames.look
    return look.axis, "in distribution" if look.split == "id" else "", look.seed


def _title(line: tuple[str, str, int]) -> tuple[str, ...]:
    axis, split, seed = line
    return (*axis.replace("+", " +\n").split("\n"), split, f"draw {seed}") if axis else ("",)


def _moment(folder: Path, frames: FrameSet, index: EpisodeIndex) -> NDArray[np.uint8]:
    episode = _episode(folder, frames, index)
    return enlarged(episode[len(episode) // 2])


def _episode(folder: Path, frames: FrameSet, index: EpisodeIndex) -> list[NDArray[np.uint8]]:
    """All frames of the look's last held-out episode."""
    own = {e for shard in frames.shards for e in shard.episodes}
    chosen = [e for e in index.episodes(True, DEFAULT if frames.look.paired else frames.look.variant) if e in own][-1]
    shard = next(shard for shard in frames.shards if chosen in shard.episodes)
    return [frame for _, _, frame in read_frame_shard(folder / shard.file, lambda episode, t: episode == chosen)]
