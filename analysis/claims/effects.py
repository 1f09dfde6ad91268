"""What has to be stated before looking: the smallest effects that count."""

from dataclasses import dataclass
from typing import Literal


@dataclass(frozen=True)
class Effects:
    """`claims` of params.yaml.

    Attributes:
        score: difference of normalised return.
        r2: difference of R2.
        correlation: size of a correlation, and of a difference of two.
        growth: quotient of two growths of error, or growth itself; above 1.
        max_return: G_max of normalised return, that of the best possible episode.
        correction: of p-values for the number of claims.
    """

    score: float
    r2: float
    correlation: float
    growth: float
    max_return: float
    correction: Literal["holm", "benjamini_hochberg"]
