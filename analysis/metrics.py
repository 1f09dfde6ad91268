"""`metrics.json`: the few figures that `dvc metrics show` and `dvc exp show` compare runs by."""

import math
from collections.abc import Iterable, Mapping
from typing import Any

import polars as pl

from analysis.baselines import BASELINES
from analysis.online import ends
from analysis.results import Results

DIGITS = 6


def metrics(results: Results, expert_return: Mapping[str, float]) -> dict[str, Any]:
    """Figures under the default look unless said otherwise, averaged over tasks and algorithms.

    Args:
        expert_return: task -> mean episode return of the behaviour's expert.

    Returns:
        `selected` (with its name, `encoder`) and `encoders.NAME`: filtering_r2, open_loop_r2 (at the longest horizon predicted
        from every start), filtering_mae, open_loop_mae, mae_ratio.AXIS (filtering MAE under the strongest shift / under the
        default look) and, where it was fine-tuned, online.{first,last,offline_only}; `baselines.NAME`: the errors of guesses
        that need no model; `expert_return`. Rounded to 6 digits after the point; undefined values are null.
    """
    own = {
        encoder: _errors(results, encoder) | _ratios(results, encoder) | _online(results, encoder) for encoder in results.encoders
    }
    return {
        "selected": {"encoder": results.selected} | own[results.selected],
        "encoders": own,
        "baselines": {name: _errors(results, name) for name in BASELINES},
        "expert_return": _mean(expert_return.values()),
    }


def _errors(results: Results, encoder: str) -> dict[str, float | None]:
    rows = results.looks.filter(pl.col("encoder") == encoder, pl.col("axis") == "default")
    figures = {}
    for name, horizon in (("filtering", 0), ("open_loop", results.short)):
        at = rows.filter(pl.col("horizon") == horizon)
        figures[f"{name}_r2"], figures[f"{name}_mae"] = _mean(at["r2"]), _mean(at["mae"])
    return figures


def _ratios(results: Results, encoder: str) -> dict[str, Any]:
    rows = results.held_out.filter(pl.col("encoder") == encoder, pl.col("axis") != "default", pl.col("horizon") == 0)
    strongest = rows.filter(pl.col("severity") == pl.col("severity").max().over("axis"))
    axes = sorted(strongest["axis"].unique())
    return {"mae_ratio": {axis: _mean(strongest.filter(pl.col("axis") == axis)["mae_ratio"]) for axis in axes}}


def _online(results: Results, encoder: str) -> dict[str, Any]:
    rows = ends(results.online).filter(pl.col("encoder") == encoder)
    if rows.is_empty():
        return {}
    return {"online": {name: _mean(rows[name]) for name in ("first", "last", "offline_only")}}


def _mean(values: Iterable[float | None]) -> float | None:
    """Rounded mean; null where there is nothing, or something undefined, to average."""
    known = list(values)
    if not known or any(v is None or not math.isfinite(v) for v in known):
        return None
    return round(math.fsum(v for v in known if v is not None) / len(known), DIGITS) + 0.0
