"""The frames that the report's filmstrips show, read from where they were rendered."""

from collections.abc import Set
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from analysis.filmstrip import chosen_episode, moments
from analysis.recordings import Frame
from datasets.frames import DEFAULT, load_frames_index, read_frame_shard
from datasets.png import encoded

if TYPE_CHECKING:
    import polars as pl

_LARGEST = 96  # pixels a side, on the page
_RECORDED = 64  # the same, of frames that recordings show: many


def strip_frames(folder: Path, traces: "pl.DataFrame") -> dict[str, dict[int, bytes]]:
    """Look's variant -> step -> PNG: of one held-out episode at a few moments, under every look that was traced.

    Looks that show other episodes (resized bodies) are left out.

    Args:
        folder: of a task's frames.
        traces: `analysis.traces.traces` of that task.
    """
    if traces.is_empty():
        return {}
    _, episode = chosen_episode(traces)
    own = traces.filter(episode=episode)
    shown = set(moments(int(own["t"].max())))  # type: ignore[arg-type]
    frames = load_frames_index(folder)
    found: dict[str, dict[int, bytes]] = {}
    for variant in own["variant"].unique().sort():
        shards = [shard for shard in frames.of(variant).shards if episode in shard.episodes]
        kept = (read_frame_shard(folder / shard.file, lambda e, t: e == episode and t in shown) for shard in shards)
        found[variant] = {t: encoded(_small(frame)) for shard in kept for _, t, frame in shard}
    return found


def frames_at(folder: Path, wanted: Set[Frame]) -> dict[Frame, NDArray[np.uint8]]:
    """Frames (episode, t) of the default look, uint8 [H, W, 3]; those that were not rendered are left out.

    Args:
        folder: of a task's frames. Every tar that holds one of them is read once.
    """
    episodes = {episode for episode, _ in wanted}
    shards = [shard for shard in load_frames_index(folder).of(DEFAULT).shards if episodes & {*shard.episodes}]
    read = (read_frame_shard(folder / shard.file, lambda e, t: (e, t) in wanted) for shard in shards)
    return {(episode, t): frame for shard in read for episode, t, frame in shard}


def recorded_frames(folder: Path, wanted: Set[Frame]) -> dict[Frame, bytes]:
    """`frames_at` as PNG, no larger than a page shows them."""
    return {at: encoded(_small(frame, _RECORDED)) for at, frame in frames_at(folder, wanted).items()}


def _small(frame: NDArray[np.uint8], largest: int = _LARGEST) -> NDArray[np.uint8]:
    if frame.shape[0] <= largest:
        return frame
    return np.asarray(Image.fromarray(frame).resize((largest, largest), Image.Resampling.BOX))
