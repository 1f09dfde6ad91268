"""How long a run took adds up over the times that it was started, and an evaluation made again counts once."""

import time
from pathlib import Path

from trainers.agent.stopwatch import Stopwatch


def test_time_adds_up_over_restarts(tmp_path: Path):
    first = Stopwatch(tmp_path / "times.json")
    first.note(0)
    time.sleep(0.15)
    first.note(1000)
    assert first.notes[1][1] >= 0.1
    time.sleep(0.3)  # not noted, so lost with the process
    second = Stopwatch(tmp_path / "times.json")
    assert second.notes == first.notes
    second.note(2000)
    assert [steps for steps, _ in second.notes] == [0, 1000, 2000]
    assert first.notes[1][1] <= second.notes[2][1] < first.notes[1][1] + 0.25


def test_an_evaluation_that_is_made_again_takes_the_place_of_the_first(tmp_path: Path):
    watch = Stopwatch(tmp_path / "times.json")
    for steps in (0, 1000, 1000, 2000):
        watch.note(steps)
    assert [steps for steps, _ in Stopwatch(tmp_path / "times.json").notes] == [0, 1000, 2000]
