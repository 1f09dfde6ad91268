"""A claim as a question to the data, and what is answered."""

import math
from dataclasses import dataclass

from analysis.claims.contrasts import Estimate
from analysis.statistics.verdict import FEW_SEEDS, Claim, verdict

STUDY, FOLLOW_UP, OURS = "arXiv 2411.10175", "follow-up", "ours"
FEW_ENCODERS = 3

Row = dict[str, str | int | float | None]


@dataclass(frozen=True)
class Question:
    """That a quantity is at least (`above`), or at most, `threshold`.

    Attributes:
        logged: whether estimates and the threshold are logarithms, of which the table shows the exponentials.
        few: encoders below which nothing is decided.
    """

    id: str
    claim: str
    source: str
    test: str
    threshold: float
    above: bool
    unit: str
    logged: bool = False
    few: int = FEW_ENCODERS

    def answer(self, found: Estimate | None, lacking: str = "") -> Row:
        """A row of the table, `p_adjusted` still to come.

        Args:
            lacking: what has to be added so that there is an estimate, or a better one.
        """
        row: Row = {"id": self.id, "claim": self.claim, "source": self.source, "test": self.test, "unit": self.unit}
        row |= {"effect_that_counts": self._shown(self.threshold), "estimate": None, "low": None, "high": None, "p": None}
        row |= {"p_adjusted": None, "encoders": 0, "tasks": 0, "seeds": 0, "verdict": "undecided", "note": lacking}
        if found is None:
            return row | {"note": lacking or "there are no such runs"}
        row |= {name: self._shown(getattr(found, name)) for name in ("estimate", "low", "high")}
        row |= {
            "p": None if math.isnan(found.p) else found.p,
            "encoders": found.encoders,
            "tasks": found.tasks,
            "seeds": found.seeds,
        }
        said = verdict(Claim(self.claim, self.threshold, self.above), found.estimate, found.low, found.high, found.seeds)
        notes = [lacking] if lacking else []
        if found.seeds < FEW_SEEDS:
            notes.append(f"{found.seeds} seed{'s' * (found.seeds != 1)} where {FEW_SEEDS} are the least")
        if found.encoders < self.few:
            notes.append(f"{found.encoders} representation{'s' * (found.encoders != 1)} where {self.few} are the least")
            said = "undecided"
        if said == "undecided" and not notes:
            notes.append("the interval has values on both sides of the effect that counts")
        return row | {"verdict": said, "note": "; ".join(notes)}

    def _shown(self, value: float) -> float | None:
        if math.isnan(value):
            return None
        return math.exp(value) if self.logged else value
