"""The report's sentences, computed from the results: they say what the intervals allow and no more."""

from collections.abc import Mapping

import polars as pl

from analysis.baselines import REPEAT_LAST
from analysis.online import ends
from analysis.results import SCRATCH, Results


def findings(results: Results, task: str, algorithm: str, expert_return: Mapping[str, float]) -> list[str]:
    """Sentences about one task and algorithm, the most important first."""
    mine = (pl.col("task") == task) & (pl.col("algorithm") == algorithm)
    looks = results.looks.filter(mine)
    repeat = results.looks.filter(pl.col("task") == task, pl.col("encoder") == REPEAT_LAST)
    said = [_in_distribution(results, looks, repeat), _against_scratch(results.contrasts.filter(mine), results.encoders)]
    said += [_shifts(results, looks), _online(ends(results.online).filter(mine), results, expert_return.get(task))]
    return [sentence for sentence in said if sentence]


def caveat(results: Results, confidence: float) -> str:
    """What the intervals cover, and what they do not."""
    models = results.looks.filter(pl.col("algorithm") != "none")
    episodes = models["episodes"].min()
    spread = f"Intervals ({confidence:.0%}) come from resampling {episodes} held-out episodes whole"
    if results.seeds == 1:
        return f"{spread}. One model was trained per representation (one seed): they say nothing about luck in training."
    return f"{spread}, and the {results.seeds} models (seeds) of each representation."


def _in_distribution(results: Results, looks: pl.DataFrame, repeat: pl.DataFrame) -> str:
    def listed(horizon: int) -> str:
        at = looks.filter(pl.col("axis") == "default", pl.col("horizon") == horizon)
        value = dict(at.select("encoder", "r2").iter_rows())
        best = sorted(results.encoders, key=lambda e: (value.get(e) is None, -(value.get(e) or 0)))
        last = repeat.filter(pl.col("axis") == "default", pl.col("horizon") == horizon)["r2"]
        names = ", ".join(f"{e} {_r2(value.get(e))}" for e in best)
        return f"{names} (repeating the last reward: {_r2(last[0] if len(last) else None)})"

    text = f"Share of the reward's variance predicted on held-out episodes (R²; predicting the mean scores 0), filtering: {listed(0)}"
    return text + (f"; {results.short} steps open loop: {listed(results.short)}." if results.short else ".")


def _against_scratch(contrasts: pl.DataFrame, encoders: list[str]) -> str:
    clauses = []
    for shifted, where in ((False, "the default look"), (True, "all shifted looks")):
        at = contrasts.filter(pl.col("shifted") == shifted, pl.col("horizon") == 0)
        groups: dict[str, list[str]] = {"smaller": [], "larger": [], "not distinguishable": []}
        for row in sorted(at.iter_rows(named=True), key=lambda r: encoders.index(r["encoder"])):
            kind = "smaller" if row["difference_high"] < 0 else "larger" if row["difference_low"] > 0 else "not distinguishable"
            change = f" ({row['difference'] / row['reference_mae']:+.0%})" if row["reference_mae"] else ""
            groups[kind].append(row["encoder"] + change)
        told = [f"{kind} with {_and(names)}" for kind, names in groups.items() if names]
        if told:
            clauses.append(f"under {where} {'; '.join(told)}")
    return f"Against {SCRATCH}, the filtering error is, " + "; and ".join(clauses) + "." if clauses else ""


def _shifts(results: Results, looks: pl.DataFrame) -> str:
    shifted = looks.filter(pl.col("axis") != "default", pl.col("horizon") == 0)
    if shifted.is_empty():
        return ""
    unmoved = [e for e in results.encoders if (shifted.filter(pl.col("encoder") == e)["mae_increase"] == 0).all()]
    moved = [e for e in results.encoders if e not in unmoved]
    clauses = []
    for axis in sorted(shifted["axis"].unique()):
        strongest = shifted.filter(pl.col("axis") == axis).filter(pl.col("severity") == pl.col("severity").max())
        ratio = {row["encoder"]: row for row in strongest.iter_rows(named=True)}
        told = [f"{e} {ratio[e]['mae_ratio']:.1f}" for e in moved if e in ratio and ratio[e]["mae_ratio"] is not None]
        if told:
            clauses.append(f"{axis} {', '.join(told)}")
    text = "The strongest shift multiplies the filtering error by: " + "; ".join(clauses) + ". " if clauses else ""
    growing = [f"{e}: {_and(axes)}" for e in moved if (axes := _growing(shifted.filter(pl.col("encoder") == e)))]
    text += f"It grows at every step of severity for {'; '.join(growing)}. " if growing else ""
    return text + (f"{_and(unmoved).capitalize()} {'is' if len(unmoved) == 1 else 'are'} exactly unaffected." if unmoved else "")


def _growing(own: pl.DataFrame) -> list[str]:
    """Axes along which the paired increase is positive and rises from each severity to the next."""
    axes = []
    for axis in sorted(own["axis"].unique()):
        increase = [0.0, *own.filter(pl.col("axis") == axis).sort("severity")["mae_increase"]]
        if all(b > a for a, b in zip(increase, increase[1:], strict=False)):
            axes.append(axis)
    return axes


def _online(last: pl.DataFrame, results: Results, expert: float | None) -> str:
    told = []
    for encoder in results.encoders:
        for row in last.filter(pl.col("encoder") == encoder).iter_rows(named=True):
            control = row["offline_only"]
            beside = f", against {control:.0f} after as many updates without online data" if control is not None else ""
            told.append(f"{encoder} went from {row['first']:.0f} to {row['last']:.0f} in {row['env_steps']:,} agent steps{beside}")
    return f"Fine-tuned online, {'; '.join(told)}" + (f" (expert: {expert:.0f})." if expert is not None else ".") if told else ""


def _and(names: list[str]) -> str:
    return names[0] if len(names) == 1 else ", ".join(names[:-1]) + " and " + names[-1]


def _r2(value: float | None) -> str:
    return "undefined" if value is None else f"{value:.3f}"
