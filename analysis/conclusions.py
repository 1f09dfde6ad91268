"""What is concluded from predictions once they are summarised: further measures, scores over runs, verdicts on the claims."""

from collections.abc import Iterable
from pathlib import Path
from typing import Any

import polars as pl

from analysis.claims import judge
from analysis.claims.effects import Effects
from analysis.measures import BINS, measures, reliability
from analysis.resample import Resampling
from analysis.results import Results
from analysis.scored import scored
from analysis.tables import REWARD_ERROR, scan_parts


def concluded(
    paths: Iterable[Path], results: Results, short: int, how: Resampling, event: float, effects: Effects, **known: Any
) -> dict[str, pl.DataFrame]:
    """`measures`, `reliability`, `scores` and `claims`.

    Args:
        paths: the reward-error parts that `results` summarise. short: as of `measures.measures`. event: as of `sparse.terms`.
        known: `claims.judge`'s tables besides.
    """
    parts = [scan_parts([path], REWARD_ERROR) for path in paths]
    return {
        "measures": pl.concat([measures(part, short, how, event) for part in parts]),
        "reliability": pl.concat([reliability(part, BINS, how) for part in parts]),
        "scores": scored(results, how, effects.max_return),
        "claims": judge(results.sums, results.online, how, effects, **known),
    }
