"""A held-out episode at a few moments, under several looks, with the reward that each representation saw there."""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import polars as pl

from analysis.chosen import best_episode

MOMENTS = 8


@dataclass(frozen=True)
class Strip:
    """What one look shows.

    Attributes:
        look: as the reader reads it.
        frames: PNG files, one a moment.
        predicted: representation -> filtered reward at each moment.
    """

    look: str
    frames: list[bytes]
    predicted: dict[str, list[float]]


@dataclass(frozen=True)
class Filmstrip:
    """Strips of the same moments.

    Attributes:
        t: agent steps shown. reward: true at each. span: range of the episode's rewards, not 0.
    """

    task: str
    algorithm: str
    quality: str
    episode: int
    t: list[int]
    reward: list[float]
    strips: list[Strip]
    span: float


def chosen_episode(traces: pl.DataFrame) -> tuple[str, int]:
    """Quality and index of the episode that is shown: of the best behaviour that was traced."""
    return best_episode(traces.select("quality", "episode").unique().rows())


def moments(steps: int, first: int = 1) -> list[int]:
    """Evenly spaced steps of an episode whose last is `steps`, from `first` on; its very first is never among them."""
    return sorted({int(t) for t in np.linspace(max(first, 1), steps, MOMENTS).round()})


def filmstrip(
    traces: pl.DataFrame, task: str, algorithm: str, encoders: list[str], frames: Mapping[str, Mapping[int, bytes]]
) -> Filmstrip | None:
    """The strips of one task and algorithm; None without traces or pictures.

    Args:
        traces: `traces.traces` of all representations.
        frames: look's variant -> step -> PNG, of `chosen_episode` at `moments`.
    """
    own = traces.filter(pl.col("task") == task, pl.col("algorithm") == algorithm)
    if own.is_empty():
        return None
    quality, episode = chosen_episode(own)
    own = own.filter(pl.col("quality") == quality, pl.col("episode") == episode)
    looks = own.select("variant", "axis", "severity").unique().sort("severity", "axis").rows()
    shown = [t for t in moments(int(own["t"].max())) if all(t in frames.get(look[0], {}) for look in looks)]  # type: ignore[arg-type]
    if not shown:
        return None
    reward = own["reward"].to_numpy()
    span = float(np.ptp(reward)) or 1.0
    own = own.filter(pl.col("t").is_in(shown)).sort("t")
    first = own.filter(pl.col("variant") == looks[0][0], pl.col("encoder") == own["encoder"][0])
    strips = []
    for variant, axis, severity in looks:
        of_look = own.filter(pl.col("variant") == variant)
        predicted = {e: of_look.filter(pl.col("encoder") == e)["filtering"].to_list() for e in encoders}
        name = "default" if axis == "default" else f"{axis} {severity:g}"
        strips.append(
            Strip(name, [frames[variant][t] for t in shown], {e: p for e, p in predicted.items() if len(p) == len(shown)})
        )
    return Filmstrip(task, algorithm, quality, episode, shown, first["reward"].to_list(), strips, span)
