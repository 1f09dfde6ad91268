"""How long a run has taken, over all the times that it was started; kept beside it and part of no result."""

import json
import time
from pathlib import Path

from datasets.manifest import write_json


class Stopwatch:
    """Notes seconds at evaluations. What a killed run did after its last note is not counted.

    Attributes:
        notes: [agent steps, seconds] of every evaluation so far.
    """

    def __init__(self, file: Path) -> None:
        """
        Args:
            file: JSON, of the notes; gone on from where it is there.
        """
        self._file, self._start = file, time.monotonic()
        self.notes: list[tuple[int, float]] = [(s, t) for s, t in json.loads(file.read_text())] if file.is_file() else []
        self._before = self.notes[-1][1] if self.notes else 0.0

    def note(self, env_steps: int) -> None:
        """That an evaluation after `env_steps` begins; one that is made again takes the place of the first."""
        seconds = self._before + time.monotonic() - self._start
        self.notes = [(steps, taken) for steps, taken in self.notes if steps < env_steps] + [(env_steps, round(seconds, 1))]
        write_json(self._file, self.notes)
