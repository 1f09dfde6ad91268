"""Sparse rewards: whether the events are predicted. An event is a reward above a share (half) of the task's highest.

Precision is the share of predicted events that happen, recall the share of events that are predicted, F1 their harmonic mean.
"""

import numpy as np

from analysis.figure import Figure, Sums
from analysis.gathered import Gathered
from analysis.resample import Array
from analysis.statistics.draws import codes

EVENT = 0.5
STATISTICS = ("hit", "said", "happened")


def terms(rows: Gathered, event: float = EVENT) -> dict[str, Array]:
    """Whether an event was predicted and happened (tp), was predicted (tp + fp), happened (tp + fn); 0 or 1, [N] each.

    Args:
        event: the share of the task's highest reward beyond which a reward, or its prediction, is an event.
    """
    task = codes(rows.units, "task")[rows.unit]
    highest = np.full(task.max(initial=-1) + 1, -np.inf)
    np.maximum.at(highest, task, rows.reward)
    threshold = event * highest[task]
    said, happened = rows.predicted > threshold, rows.reward > threshold
    return {name: values.astype("f8") for name, values in zip(STATISTICS, (said & happened, said, happened), strict=True)}


def precision(sums: Sums) -> Array:
    """nan where no event was predicted."""
    return _over(sums["hit"], sums["said"])


def recall(sums: Sums) -> Array:
    """nan where no event happened."""
    return _over(sums["hit"], sums["happened"])


def f1(sums: Sums) -> Array:
    """nan where no event happened: then there is nothing to find."""
    return np.where(sums["happened"] > 0, _over(2 * sums["hit"], sums["said"] + sums["happened"]), np.nan)


def _over(part: Array, whole: Array) -> Array:
    with np.errstate(all="ignore"):
        return np.where(whole > 0, part / whole, np.nan)


FIGURES = {
    "event_precision": Figure(precision, "said", share=True),
    "event_recall": Figure(recall, "happened", share=True),
    "event_f1": Figure(f1, "happened", share=True),
}
