"""Whether predictions order states by reward: Spearman's rank correlation of reward and prediction.

Ranks are mid-ranks, taken once among all predictions of a model under one look at one horizon; resamples draw episodes of those
ranks. Ranking each resample anew would tie every state with its own copies, and cost a sort a resample.
"""

import numpy as np

from analysis.confidence import ARTANH
from analysis.figure import Figure, Sums
from analysis.gathered import LOOK, Gathered
from analysis.resample import Array
from analysis.statistics.correlation import ranks
from analysis.statistics.draws import codes
from analysis.sums import MODEL

STATISTICS = ("a", "b", "aa", "bb", "ab")
_EDGE = 1 - 1e-12  # artanh is finite there


def terms(rows: Gathered) -> dict[str, Array]:
    """Ranks of the reward (a) and of its prediction (b), in (-1/2, 1/2), their squares and product; [N] each."""
    group = codes(rows.units, *MODEL, *LOOK, "horizon")[rows.unit]
    a, b = (ranks(values.astype("f8"), group) - 0.5 for values in (rows.reward, rows.predicted))
    return {"a": a, "b": b, "aa": a**2, "bb": b**2, "ab": a * b}


def spearman(sums: Sums) -> Array:
    """Pearson's correlation of the ranks; nan where one side does not vary."""
    n = sums["n"]
    aa, bb, ab = (sums[x + y] - sums[x] * sums[y] / n for x, y in ("aa", "bb", "ab"))
    varies = (aa > 1e-9 * n) & (bb > 1e-9 * n)
    return np.where(varies, np.clip(ab / np.sqrt(aa * bb), -_EDGE, _EDGE), np.nan)


FIGURES = {"spearman": Figure(spearman, scale=ARTANH)}
