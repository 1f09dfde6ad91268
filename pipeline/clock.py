"""When evaluations of online learning were reached: beside the notes of what stages took, outside every result."""

import json
from pathlib import Path
from typing import NamedTuple

from pipeline.machine import hardware
from pipeline.work import key_of, note_file, write_note

_KIND = "clock"


class Clock(NamedTuple):
    """Of one stage's output.

    Attributes:
        rows: (arm, seed, agent steps, seconds) of every evaluation.
        hardware: that it ran on.
    """

    rows: list[tuple[str, int, int, float]]
    hardware: str


def save_clock(out: Path, key: str, rows: list[tuple[str, int, int, float]]) -> None:
    """Note what led to an output.

    Args:
        out: the output's folder, as dvc.yaml names it.
        key: of the work it comes from.
        rows: see `Clock`.
    """
    write_note(_KIND, out, {"key": key, "rows": rows, "hardware": hardware()})


def read_clock(out: Path) -> Clock | None:
    """What was noted of an output that lies here; None where it was made elsewhere."""
    file = note_file(_KIND, out)
    if not file.is_file() or (noted := json.loads(file.read_text()))["key"] != key_of(out):
        return None
    return Clock([(arm, seed, steps, seconds) for arm, seed, steps, seconds in noted["rows"]], noted["hardware"])
