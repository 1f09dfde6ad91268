"""The report's sentences, computed from the results: they say what the intervals allow and no more."""

import math
from collections.abc import Mapping
from itertools import pairwise
from typing import Any

import polars as pl

from analysis.baselines import REPEAT_LAST
from analysis.online import ends, gains
from analysis.results import SCRATCH, Results


def findings(results: Results, task: str, algorithm: str, expert_return: Mapping[str, float], confidence: float) -> list[str]:
    """Sentences about one task and algorithm, the most important first."""
    mine = (pl.col("task") == task) & (pl.col("algorithm") == algorithm)
    looks = results.held_out.filter(mine)
    repeat = results.looks.filter(pl.col("task") == task, pl.col("encoder") == REPEAT_LAST)
    said = _in_distribution(results, looks, repeat)
    said += [_against_scratch(results.contrasts.filter(mine), results.encoders)]
    said += [_shifts(results, looks), _online(results, mine, expert_return.get(task), confidence)]
    return [sentence for sentence in said if sentence]


def caveat(results: Results, confidence: float) -> str:
    """What the intervals cover, and what they do not."""
    models = results.looks.filter(pl.col("algorithm") != "none")
    episodes = models.select(pl.col("episodes").min()).item()
    spread = f"Intervals ({confidence:.0%}) come from resampling {episodes} held-out episodes whole"
    if results.seeds == 1:
        return f"{spread}. One model was trained per representation (one seed): they say nothing about luck in training."
    return f"{spread}, and the {results.seeds} models (seeds) of each representation."


def _in_distribution(results: Results, looks: pl.DataFrame, repeat: pl.DataFrame) -> list[str]:
    def r2_at(table: pl.DataFrame, horizon: int) -> dict[str, float | None]:
        at = table.filter(pl.col("axis") == "default", pl.col("horizon") == horizon)
        return dict(at.select("encoder", "r2").iter_rows())

    def listed(horizon: int) -> str:
        value = r2_at(looks, horizon)
        best = sorted(results.encoders, key=lambda e: (value.get(e) is None, -(value.get(e) or 0)))
        last = r2_at(repeat, horizon).get(REPEAT_LAST)
        beaten = [e for e in best if last is None or (value.get(e) or -math.inf) > last]
        who = (
            "none beats"
            if not beaten
            else "all beat"
            if len(beaten) == len(best)
            else f"{_and(beaten)} beat{'s' * (len(beaten) == 1)}"
        )
        return ", ".join(f"{e} {_r2(value.get(e))}" for e in best) + f"; {who} repeating the last reward ({_r2(last)})."

    said = [f"Share of the reward's variance predicted on held-out episodes (R²; predicting the mean scores 0): {listed(0)}"]
    if results.short:
        said.append(f"Predicted {results.short} steps ahead from the actions alone: {listed(results.short)}")
    return said


def _against_scratch(contrasts: pl.DataFrame, encoders: list[str]) -> str:
    clauses = []
    for shifted, where in ((False, "the default look"), (True, "all shifted looks")):
        at = contrasts.filter(pl.col("shifted") == shifted, pl.col("horizon") == 0)
        groups: dict[str, list[str]] = {"smaller": [], "larger": [], "not distinguishable": []}
        for row in sorted(at.iter_rows(named=True), key=lambda r: encoders.index(r["encoder"])):
            low, high = row["difference_low"] or 0, row["difference_high"] or 0  # null: too few episodes for an interval
            kind = "smaller" if high < 0 else "larger" if low > 0 else "not distinguishable"
            change = f" ({_percent(row['difference'] / row['reference_mae'])})" if row["reference_mae"] else ""
            groups[kind].append(row["encoder"] + change)
        told = [f"{kind} with {_and(names)}" for kind, names in groups.items() if names]
        if told:
            clauses.append(f"Under {where}, the filtering error is {', '.join(told)}.")
    return f"Against {SCRATCH} (mean absolute error, same episodes). " + " ".join(clauses) if clauses else ""


def _shifts(results: Results, looks: pl.DataFrame) -> str:
    shifted = looks.filter(pl.col("axis") != "default", pl.col("horizon") == 0)
    if shifted.is_empty():
        return ""
    present = [e for e in results.encoders if e in set(shifted["encoder"])]
    unmoved = [e for e in present if (shifted.filter(pl.col("encoder") == e)["mae_increase"] == 0).all()]
    moved = [e for e in present if e not in unmoved]
    clauses = []
    for axis in sorted(shifted["axis"].unique()):
        strongest = shifted.filter(pl.col("axis") == axis).filter(pl.col("severity") == pl.col("severity").max())
        ratio = {row["encoder"]: row for row in strongest.iter_rows(named=True)}
        told = [f"{e} × {ratio[e]['mae_ratio']:.1f}" for e in moved if e in ratio and ratio[e]["mae_ratio"] is not None]
        if told:
            clauses.append(f"{axis}, {', '.join(told)}")
    text = "The strongest shift multiplies the filtering error: " + "; ".join(clauses) + ". " if clauses else ""
    growing = [f"{e}: {_and(axes)}" for e in moved if (axes := _growing(shifted.filter(pl.col("encoder") == e)))]
    text += f"It grows at every step of severity for {'; '.join(growing)}. " if growing else ""
    return text + (f"{_and(unmoved).capitalize()} {'is' if len(unmoved) == 1 else 'are'} exactly unaffected." if unmoved else "")


def _growing(own: pl.DataFrame) -> list[str]:
    """Axes along which the error rises from each severity to the next, and at the strongest clearly (interval above zero)."""
    axes = []
    for axis in sorted(own["axis"].unique()):
        along = own.filter(pl.col("axis") == axis).sort("severity")
        rising = all(b > a for a, b in pairwise([0.0, *along["mae_increase"]]))
        if rising and (along["mae_increase_low"][-1] or 0) > 0:
            axes.append(axis)
    return axes


def _online(results: Results, mine: pl.Expr, expert: float | None, confidence: float) -> str:
    told = []
    last = ends(results.online).filter(mine)
    for encoder in results.encoders:
        for row in last.filter(pl.col("encoder") == encoder).iter_rows(named=True):
            control, nothing = row["offline_only"], row["from_nothing"]
            beside = f", against {control:.0f} after as many updates without online data" if control is not None else ""
            beside += f", and {nothing:.0f} from nothing" if nothing is not None else ""
            told.append(
                f"{encoder} went from {row['first']:.0f} to {row['last']:.0f} in {row['env_steps']:,} agent steps{beside}"
            )
    if not told:
        return ""
    said = f"Fine-tuned online, {'; '.join(told)}" + (f" (expert: {expert:.0f})." if expert is not None else ".")
    worth = [_worth(row) for row in gains(results.online, confidence).filter(mine).iter_rows(named=True)]
    return " ".join([said, *worth])


def _worth(row: dict[str, Any]) -> str:
    """What the offline start was worth to one representation."""
    sure = f" [{row['low']:.0f}, {row['high']:.0f}]" if row["low"] is not None else ""
    of = f"{row['seeds']} seeds" if row["seeds"] > 1 else "one seed"
    return f"Starting {row['encoder']} from the offline model and its data was worth {row['gain']:+.0f}{sure} of return ({of})."


def _percent(share: float) -> str:
    return f"{share:+.0%}".replace("-", "\N{MINUS SIGN}")


def _and(names: list[str]) -> str:
    return names[0] if len(names) == 1 else ", ".join(names[:-1]) + " and " + names[-1]


def _r2(value: float | None) -> str:
    return "undefined" if value is None else f"{round(value, 3) + 0.0:.3f}".replace("-", "\N{MINUS SIGN}")
