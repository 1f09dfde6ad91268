"""Whether a claim stands: by an effect that counts, stated before looking, and never on fewer than three seeds."""

import math
from dataclasses import dataclass
from typing import Literal

import polars as pl

FEW_SEEDS = 3
Verdict = Literal["supported", "contradicted", "undecided"]


@dataclass(frozen=True)
class Claim:
    """That a quantity is beyond `threshold`: the smallest effect that counts, stated before the result is seen.

    Attributes:
        above: whether beyond means at least, or at most.
    """

    text: str
    threshold: float
    above: bool = True


def verdict(claim: Claim, estimate: float | None, low: float | None, high: float | None, seeds: int | None) -> Verdict:
    """What an interval says of a claim.

    - supported: all of the interval is beyond the threshold;
    - contradicted: none of it is, so no effect that counts is compatible with the data;
    - undecided: the interval has values on both sides, is undefined, or there are fewer than three seeds.
    """
    if seeds is None or seeds < FEW_SEEDS:
        return "undecided"
    if any(value is None or math.isnan(value) for value in (estimate, low, high)):
        return "undecided"
    assert low is not None and high is not None
    near, far = (low, high) if claim.above else (-high, -low)
    threshold = claim.threshold if claim.above else -claim.threshold
    return "supported" if near >= threshold else "contradicted" if far < threshold else "undecided"


def judged(table: pl.DataFrame, claim: Claim) -> pl.DataFrame:
    """`table` (estimate, low, high, seeds) with `claim` and `verdict`."""
    said = [verdict(claim, *row) for row in table.select("estimate", "low", "high", "seeds").iter_rows()]
    return table.with_columns(pl.lit(claim.text).alias("claim"), pl.Series("verdict", said, pl.String))


def with_few_seeds(table: pl.DataFrame) -> pl.DataFrame:
    """`table` with `few_seeds`: whether `seeds` is under three."""
    return table.with_columns((pl.col("seeds") < FEW_SEEDS).alias("few_seeds"))
