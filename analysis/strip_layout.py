"""Where the parts of a recording's strip lie, so that the reward's trace stands above the frames of the same steps."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

from analysis.recordings import Recorded, Rollout

SIDE, GAP = 88, 8  # pixels of a frame as it is shown, and between two
LABELS = 132  # width of the column of labels
TRACE = (22, 104)  # top and bottom of the trace
ROWS = (128, 128 + SIDE + GAP)  # tops of the true and of the found frames
HEIGHT = ROWS[1] + SIDE + 30


@dataclass(frozen=True)
class Layout:
    """Pixels.

    Attributes:
        width: of the strip. context: x where imagination begins. start: x of the first step.
        centres: x of each moment that is shown.
        true, predicted: the traces, as points of an SVG polyline, one list per unbroken piece.
        low, high: rewards at the trace's bottom and top.
    """

    width: int
    start: float
    context: float
    centres: list[float]
    true: list[str]
    predicted: list[str]
    low: float
    high: float


def along(steps: Sequence[int], shown: Sequence[int], left: float, side: int, gap: int) -> list[float]:
    """x of every step, so that frames of `side` pixels, `gap` apart and centred on the steps that are shown, begin at `left`."""
    scale = (side + gap) / min(np.diff(shown), default=1)  # pixels a step
    start = left + max(0.0, side / 2 - (shown[0] - steps[0]) * scale)
    return [float(start + (t - steps[0]) * scale) for t in steps]


def limits(*values: ArrayLike) -> tuple[float, float]:
    """The lowest and the highest that is finite."""
    every = np.concatenate([np.asarray(part, float) for part in values])
    finite = every[np.isfinite(every)]
    return float(finite.min()), float(finite.max())


def layout(film: Recorded, rollout: Rollout) -> Layout:
    """Of one rollout's strip; all strips of a recording have the same scales."""
    shown = film.shown
    places = along(rollout.t, shown, LABELS, SIDE, GAP)
    start, x = places[0], {t: round(place, 1) for t, place in zip(rollout.t, places, strict=True)}
    low, high = limits(*(values for one in film.rollouts for values in (one.reward, one.predicted)))
    room = 0.05 * (high - low) or 0.5
    low, high = low - room, high + room
    end = x[shown[-1]] + SIDE / 2 + GAP
    true, predicted = (_pieces(rollout.t, values, x, low, high) for values in (rollout.reward, rollout.predicted))
    return Layout(int(end), start, x.get(film.context, start), [x[t] for t in shown], true, predicted, low, high)


def _pieces(steps: list[int], values: list[float], x: dict[int, float], low: float, high: float) -> list[str]:
    """A line, broken where a value is not finite."""
    top, bottom = TRACE
    pieces: list[list[str]] = [[]]
    for t, value in zip(steps, values, strict=True):
        if not np.isfinite(value):
            pieces.append([])
            continue
        y = bottom - (value - low) / (high - low) * (bottom - top)
        pieces[-1].append(f"{x[t]:g},{y:.1f}")
    return [" ".join(piece) for piece in pieces if piece]
