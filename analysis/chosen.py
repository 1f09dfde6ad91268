"""Which held-out episode is shown, where one stands for all."""

from collections.abc import Iterable

_ORDER = ("expert", "replay", "medium", "random")  # behaviour that is shown, where there is some


def best_episode(named: Iterable[tuple[str, int]]) -> tuple[str, int]:
    """Of (quality, index) pairs: the first episode of the best behaviour."""
    return min(named, key=lambda row: (_ORDER.index(row[0]) if row[0] in _ORDER else len(_ORDER), row))
