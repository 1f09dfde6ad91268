"""Which representations count as what, by name."""

import polars as pl

from analysis.shared import APART, base

SCRATCH, STATE = "scratch", "state"
MODEL_FREE = ("sac", "drqv2", "bc")
_CONTROLS = ("state", "scratch", "scratch_64", "autoencoder")


def is_pre_trained(label: str) -> bool:
    """Whether it is a PVR: neither a control nor learned on the task's own frames."""
    name = base(label)
    return not (name in _CONTROLS or name.startswith("random") or name.endswith("_indomain"))


def labels(*tables: pl.DataFrame) -> list[str]:
    """All representations of the tables, sorted."""
    return sorted({label for table in tables for label in table["encoder"].unique()})


def against_scratch(names: list[str]) -> list[tuple[str, str | None]]:
    """Every PVR beside scratch: that of its own experiment where scratch was kept apart."""
    pairs: list[tuple[str, str | None]] = []
    scratch = [name for name in names if base(name) == SCRATCH]
    for name in filter(is_pre_trained, names):
        own = SCRATCH + name.removeprefix(base(name)) if APART in name else SCRATCH
        if beside := own if own in scratch else next(iter(scratch), None):
            pairs.append((name, beside))
    return pairs
