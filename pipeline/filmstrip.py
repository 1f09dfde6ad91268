"""The frames that the report's filmstrips show, read from where they were rendered."""

from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from analysis.filmstrip import chosen_episode, moments
from datasets.frames import load_frames_index, png, read_frame_shard

if TYPE_CHECKING:
    import polars as pl


_LARGEST = 96  # pixels a side, on the page


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
        found[variant] = {t: png(_small(frame)) for shard in kept for _, t, frame in shard}
    return found


def _small(frame: NDArray[np.uint8]) -> NDArray[np.uint8]:
    if frame.shape[0] <= _LARGEST:
        return frame
    return np.asarray(Image.fromarray(frame).resize((_LARGEST, _LARGEST), Image.Resampling.BOX))
