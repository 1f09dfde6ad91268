"""The claims as the page tells them: verdict first, then the estimate, and what would have counted."""

from dataclasses import dataclass

import polars as pl

MARKS = {"supported": "✔", "contradicted": "✘", "undecided": "?"}


@dataclass(frozen=True)
class Told:
    """One claim."""

    verdict: str
    mark: str
    claim: str
    estimate: str
    counts: str
    source: str
    test: str
    note: str


def told(claims: pl.DataFrame) -> list[Told]:
    """In the table's order; none of an empty table."""
    return [_told(row) for row in claims.iter_rows(named=True)]


def summary(claims: pl.DataFrame) -> str:
    """How many claims are supported, contradicted and undecided."""
    if claims.is_empty():
        return ""
    number = {verdict: int((claims["verdict"] == verdict).sum()) for verdict in MARKS}
    return f"Of {len(claims)} claims, {', '.join(f'{count} {verdict}' for verdict, count in number.items())}."


def _told(row: dict[str, object]) -> Told:
    estimate, low, high = row["estimate"], row["low"], row["high"]
    if isinstance(estimate, float):
        ends = f" [{_number(low)}, {_number(high)}]" if isinstance(low, float) and isinstance(high, float) else ""
        value = f"{_number(estimate)}{ends} {row['unit'] or ''}".strip()
    else:
        value = "no estimate"
    verdict, counts = str(row["verdict"]), row["effect_that_counts"]
    counted = f"an effect counts from {_number(counts)}" if isinstance(counts, float) else ""
    return Told(
        verdict, MARKS[verdict], str(row["claim"]), value, counted, str(row["source"]), str(row["test"]), str(row["note"] or "")
    )


def _number(value: object) -> str:
    return f"{value:.3g}".replace("-", "\N{MINUS SIGN}") if isinstance(value, int | float) else "–"
