"""Pictures of a recording: frames of what happened beside those found for what was imagined, and the rewards along time."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont

from analysis.strip_layout import along, limits

if TYPE_CHECKING:
    import polars as pl

Pair = tuple[NDArray[np.uint8], NDArray[np.uint8] | None]  # what happened, what was found

_SIDE, _STRIP_SIDE = 192, 96  # pixels of a frame in an animation, in a strip
_GAP, _TRACE, _TEXT, _LEFT = 8, 88, 18, 36  # pixels: between parts, height of the trace, of a line of text, left of the trace
_PAPER, _WASH, _INK, _TRUE, _PREDICTED = "#ffffff", "#e5e7eb", "#1f2937", "#1f2937", "#d55e00"


def animation(pairs: Sequence[Pair], own: "pl.DataFrame", title: str) -> list[Image.Image]:
    """One picture per step: the two frames, and the rewards so far.

    Args:
        pairs: frames of every step of the recording. own: its rows (`analysis.tables.RECORDINGS`), one a pair.
    """
    width = _LEFT + 2 * _SIDE + 2 * _GAP
    top = 3 * _TEXT + _SIDE
    lines = _Lines(own, np.linspace(_LEFT, width - _GAP, len(own)), top)
    made = []
    for step, (pair, row) in enumerate(zip(pairs, own.iter_rows(named=True), strict=True)):
        picture, draw = _canvas(width, top + _TRACE + _GAP)
        imagined = f"imagined for {row['horizon']} steps" if row["horizon"] else "observed"
        _write(draw, _LEFT, 0, f"{title}: step {row['t']}, {imagined}")
        for left, frame, name in zip(
            (_LEFT, _LEFT + _SIDE + _GAP), pair, ("what happened", "nearest to what was imagined"), strict=True
        ):
            _write(draw, left, _TEXT, name)
            _paste(picture, frame, left, 2 * _TEXT, _SIDE)
        _write(draw, _LEFT, 2 * _TEXT + _SIDE, "reward: true")
        _write(draw, _LEFT + 90, 2 * _TEXT + _SIDE, "predicted", _PREDICTED)
        lines.draw(draw, step + 1)
        made.append(picture)
    return made


def strip(pairs: Sequence[Pair], own: "pl.DataFrame", shown: Sequence[int], title: str) -> Image.Image:
    """A few moments in one picture: rewards along time, and under them what happened and what was found at the same steps.

    Args:
        pairs: frames of the moments. own: all rows of the recording. shown: the moments, steps.
    """
    steps, top = own["t"].to_numpy(), _TEXT + _GAP
    x = np.array(along(steps.tolist(), shown, _LEFT, _STRIP_SIDE, _GAP))
    lefts = [round(float(x[steps == t][0]) - _STRIP_SIDE / 2) for t in shown]
    width = lefts[-1] + _STRIP_SIDE + _GAP
    picture, draw = _canvas(width, top + _TRACE + 2 * (_TEXT + _GAP) + 2 * (_STRIP_SIDE + _GAP))
    _write(draw, _LEFT, 0, f"{title}. Black: true reward;")
    _write(draw, _LEFT + draw.textlength(f"{title}. Black: true reward; ", _FONT), 0, "predicted reward", _PREDICTED)
    _Lines(own, x, top).draw(draw, len(own))
    below = top + _TRACE + _GAP
    for left, pair, t in zip(lefts, pairs, shown, strict=True):
        _write(draw, left, below, f"step {t}")
        for row, frame in enumerate(pair):
            _paste(picture, frame, left, below + _TEXT + row * (_STRIP_SIDE + _GAP), _STRIP_SIDE)
    _write(draw, _LEFT, below + _TEXT + 2 * (_STRIP_SIDE + _GAP), "above: what happened; below: nearest to what was imagined")
    return picture


class _Lines:
    """True and predicted reward, the step of each row at its `x`; those that were observed lie on grey."""

    def __init__(self, own: "pl.DataFrame", x: NDArray[np.float64], top: int) -> None:
        bottom = top + _TRACE
        reward, predicted = (own[name].to_numpy().astype("float64") for name in ("reward", "reward_pred"))
        low, high = limits(reward, predicted)
        scale = (bottom - top) / ((high - low) or 1.0)
        self._lines = [list(zip(x, bottom - (values - low) * scale, strict=True)) for values in (reward, predicted)]
        observed = int((own["horizon"] == 0).sum())
        self._box = (float(x[0]), top, float(x[max(observed - 1, 0)]), bottom)
        self._limits = ((top, high), (bottom - 12, low))

    def draw(self, draw: ImageDraw.ImageDraw, steps: int) -> None:
        """The first `steps`."""
        draw.rectangle(self._box, fill=_WASH)
        for y, value in self._limits:
            _write(draw, 2, y, f"{value:.1f}")
        for points, colour in zip(self._lines, (_TRUE, _PREDICTED), strict=True):
            finite = [point for point in points[:steps] if np.isfinite(point[1])]
            if len(finite) > 1:
                draw.line(finite, fill=colour, width=2)


_FONT = ImageFont.load_default(size=12)


def _canvas(width: int, height: int) -> tuple[Image.Image, ImageDraw.ImageDraw]:
    picture = Image.new("RGB", (width, height), _PAPER)
    return picture, ImageDraw.Draw(picture)


def _write(draw: ImageDraw.ImageDraw, x: float, y: float, text: str, colour: str = _INK) -> None:
    draw.text((x, y), text, fill=colour, font=_FONT)


def _paste(picture: Image.Image, frame: NDArray[np.uint8] | None, left: int, top: int, side: int) -> None:
    """A frame, enlarged pixel by pixel or averaged down; grey where there is none."""
    if frame is None:
        picture.paste(_WASH, (left, top, left + side, top + side))
        return
    how = Image.Resampling.NEAREST if frame.shape[0] <= side else Image.Resampling.BOX
    picture.paste(Image.fromarray(frame).resize((side, side), how), (left, top))
