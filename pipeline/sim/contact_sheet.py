"""One picture of the same few states under every look."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw

from datasets.frames import Look
from datasets.trajectories import Trajectories
from pipeline.sim.render import Quality
from pipeline.sim.replay import Replayer

_SIZE, _GAP, _LABEL = 128, 4, 14
_STATES = 3
_COLUMNS = 10


def save_contact_sheet(path: Path, looks: Sequence[Look], data: Trajectories, camera: int, quality: Quality) -> None:
    """Draw each look as a labelled column of the same states: the default first, then axis by axis, by severity."""
    rows = _states(data)
    axes = list(dict.fromkeys(look.axis for look in looks))
    ordered = sorted(looks, key=lambda look: (axes.index(look.axis), look.severity, look.seed))
    cell, band = _SIZE + _GAP, _LABEL + len(rows) * (_SIZE + _GAP)
    bands = -(-len(ordered) // _COLUMNS)
    sheet = Image.new("RGB", (min(len(ordered), _COLUMNS) * cell - _GAP, bands * band - _GAP), "white")
    draw = ImageDraw.Draw(sheet)
    for number, look in enumerate(ordered):
        x, y = number % _COLUMNS * cell, number // _COLUMNS * band
        draw.text((x, y), look.variant, fill="black")
        with Replayer(data, look, _SIZE, camera, quality) as replayer:
            for line, row in enumerate(rows):
                sheet.paste(Image.fromarray(replayer.frame(row)), (x, y + _LABEL + line * cell))
    sheet.save(path)


def _states(data: Trajectories) -> list[int]:
    """Rows spread over the return: the middle of the worst, the median and the best validation episode."""
    episodes = data.episodes(validation=True)
    totals = [float(data.reward[data.rows_of(e)].sum(dtype=np.float64)) for e in episodes]
    ranked = [episodes[i] for i in np.argsort(totals, kind="stable")]
    chosen = [ranked[i] for i in np.linspace(0, len(ranked) - 1, _STATES).round().astype(int)]
    return [(data.rows_of(e).start + data.rows_of(e).stop) // 2 for e in chosen]
