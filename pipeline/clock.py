"""When evaluations of online learning were reached: beside the notes of what stages took, outside every result."""

import json
from pathlib import Path
from typing import NamedTuple

from datasets.errors import DataError
from datasets.manifest import digest_of, read_manifest, write_json
from pipeline.machine import hardware
from pipeline.work import store


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
    file = _file(out)
    file.parent.mkdir(parents=True, exist_ok=True)
    write_json(file, {"key": key, "rows": rows, "hardware": hardware()})


def read_clock(out: Path) -> Clock | None:
    """What was noted of an output that lies here; None where it was made elsewhere."""
    file = _file(out)
    try:
        key = read_manifest(out)["meta"].get("key")
    except DataError:
        return None
    if not file.is_file() or (noted := json.loads(file.read_text()))["key"] != key:
        return None
    return Clock([(arm, seed, steps, seconds) for arm, seed, steps, seconds in noted["rows"]], noted["hardware"])


def _file(out: Path) -> Path:
    return store() / "clock" / f"{digest_of(str(out))[:24]}.json"
