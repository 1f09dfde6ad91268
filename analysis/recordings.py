"""Imagined rollouts to look at: what happened, beside the frames of the data that are nearest to what was imagined."""

from collections.abc import Mapping
from dataclasses import dataclass

import polars as pl

from analysis.filmstrip import moments

Frame = tuple[int, int]  # episode, t


@dataclass(frozen=True)
class Rollout:
    """What one representation's model imagined.

    Attributes:
        t: every step but the episode's first. reward, predicted: at each.
        nearest: the frame found for each moment that is shown; None where the model said nothing finite.
        apart, true_apart: how far, at each moment, the state of that frame, and of the one nearest to what happened, is from the
            true one, in standard deviations; None where that is not known.
    """

    encoder: str
    t: list[int]
    reward: list[float]
    predicted: list[float]
    nearest: list[Frame | None]
    apart: list[float | None]
    true_apart: list[float | None]


@dataclass(frozen=True)
class Recorded:
    """One held-out episode, imagined by several models.

    Attributes:
        context: the last step that was observed.
        shown: steps whose frames are shown.
        frames: PNG files of these, and of all that was found.
    """

    quality: str
    episode: int
    context: int
    shown: list[int]
    rollouts: list[Rollout]
    frames: dict[Frame, bytes]


def rollouts(recordings: pl.DataFrame, task: str, algorithm: str) -> pl.DataFrame:
    """The rows of one cell (columns of `tables.RECORDINGS`) that are shown, one rollout per encoder."""
    return first_rollout(recordings.filter(pl.col("task") == task, pl.col("algorithm") == algorithm))


def first_rollout(own: pl.DataFrame) -> pl.DataFrame:
    """Of the first seed, and of the first episode, in order."""
    return own.filter(pl.col("seed") == pl.col("seed").min(), pl.col("episode") == pl.col("episode").min()).sort("encoder", "t")


def shown(own: pl.DataFrame) -> list[int]:
    """Evenly spaced steps from the context's end to the episode's last, of `rollouts`."""
    return moments(int(own["t"].max()), _context(own))  # type: ignore[arg-type]


def found(own: pl.DataFrame) -> list[Frame | None]:
    """The frame nearest to what was imagined, of each row; None where the model said nothing finite."""
    return [None if None in row else row for row in own.select("nearest_episode", "nearest_t").rows()]


def wanted(own: pl.DataFrame) -> set[Frame]:
    """The frames that `recorded` needs, of `rollouts`."""
    at = own.filter(pl.col("t").is_in(shown(own)))
    pairs = [at.select("episode", "t"), at.select(episode="nearest_episode", t="nearest_t").drop_nulls()]
    return set(pl.concat(pairs).unique().rows())


def recorded(
    recordings: pl.DataFrame, task: str, algorithm: str, encoders: list[str], frames: Mapping[Frame, bytes]
) -> Recorded | None:
    """What is shown of one cell; None without recordings, or without their frames.

    Args:
        recordings: `tables.RECORDINGS`.
        encoders: in the page's order.
        frames: PNG files, those of `wanted` among them.
    """
    if recordings.is_empty() or (own := rollouts(recordings, task, algorithm)).is_empty():
        return None
    needed, steps = wanted(own), shown(own)
    if not needed <= frames.keys():
        return None
    parts = [_rollout(own.filter(pl.col("encoder") == encoder), steps) for encoder in encoders if encoder in own["encoder"]]
    pictures = {frame: frames[frame] for frame in sorted(needed)}
    return Recorded(own["quality"][0], own["episode"][0], _context(own), steps, parts, pictures)


def _context(own: pl.DataFrame) -> int:
    """The last step that was observed."""
    return int((own["t"] - own["horizon"]).max())  # type: ignore[arg-type]


def _rollout(own: pl.DataFrame, steps: list[int]) -> Rollout:
    at = own.filter(pl.col("t").is_in(steps))
    columns = ("nearest_state_distance", "true_nearest_state_distance")
    return Rollout(
        own["encoder"][0], own["t"].to_list(), own["reward"].to_list(), own["reward_pred"].to_list(), found(at),
        *(at[name].to_list() for name in columns),
    )  # fmt: skip
