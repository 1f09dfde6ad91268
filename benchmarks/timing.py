"""Timing two things in pairs, so that a busy machine slows both sides alike."""

import statistics
import time
from collections.abc import Callable


def paired_ratio(
    ours: Callable[[], object],
    theirs: Callable[[], object],
    pairs: int,
    calls: int = 1,
    clock: Callable[[], float] = time.process_time,
) -> tuple[float, float, float]:
    """Median over pairs of (time of `ours`) / (time of `theirs`), each side called `calls` times a pair.

    By default CPU time of all threads: a library that reads in a thread of its own pays for it.

    Returns:
        (ratio, seconds of one call of ours, seconds of one call of theirs), all medians.
    """
    mine: list[float] = []
    other: list[float] = []
    for _ in range(pairs):
        for function, times in ((ours, mine), (theirs, other)):
            start = clock()
            for _ in range(calls):
                function()
            times.append((clock() - start) / calls)
    ratio = statistics.median(a / b for a, b in zip(mine, other, strict=True))
    return ratio, statistics.median(mine), statistics.median(other)
