"""What a benchmark yields, and how it says that it cannot run here."""

from typing import TypedDict


class Skip(Exception):
    """This benchmark cannot run on this machine; the message says why."""


class Row(TypedDict):
    """One measured ratio: `id` as in the table of speeds, `ratio`, and `detail` in words (sizes, both sides' figures)."""

    id: str
    ratio: float
    detail: str
