"""What the study left to check, and what this project adds."""

import math
from collections.abc import Iterator

import polars as pl

from analysis.claims import runs
from analysis.claims.contrasts import contrast
from analysis.claims.effects import Effects
from analysis.claims.kinds import MODEL_FREE, STATE, against_scratch, labels
from analysis.claims.question import FOLLOW_UP, OURS, Question, Row
from analysis.claims.study import axis_is_shifted, lacking_looks, lacking_returns
from analysis.resample import Resampling
from analysis.shared import base


def model_free(sums: pl.DataFrame, online: pl.DataFrame, how: Resampling, effects: Effects) -> Row:
    """Claim 5."""
    text = "With model-free RL, too, learning from scratch is at least as data-efficient as PVRs."
    test = f"as claim 1, on runs of {', '.join(MODEL_FREE)}"
    own = online.filter(pl.col("algorithm").is_in(MODEL_FREE))
    found = contrast(runs.returns(own, sums, effects.max_return, how)[0], against_scratch(labels(own)), how)
    lacking = lacking_returns(own, sums) if own.height else f"no runs of {', '.join(MODEL_FREE)}"
    return Question("5", text, FOLLOW_UP, test, effects.score, False, "normalised return").answer(found, lacking)


def integration(sums: pl.DataFrame, options: pl.DataFrame | None, how: Resampling, effects: Effects) -> Iterator[Row]:
    """Claim 6, for every option that runs differ in.

    Args:
        options: encoder, without, option: the label of a representation's runs with an option, that of its runs without.
    """
    text = "Other ways to integrate the features help{}."
    test = "R2 of open-loop reward with the option less without, same encoder and episodes; encoders and seeds resampled"
    unit = "R2"
    if options is None or options.is_empty():
        lacking = "no runs that differ in train.loss.infonce, train.loss.barlow, train.adapter, train.decoder or tokens alone"
        yield Question("6", text.format(""), FOLLOW_UP, test, effects.r2, True, unit).answer(None, lacking)
        return
    quantity = runs.explained(sums, how)
    for (option,), own in sorted(options.partition_by("option", as_dict=True).items()):
        pairs = [(str(with_), str(without)) for with_, without in own.select("encoder", "without").sort("encoder").rows()]
        question = Question(f"6-{option}", text.format(f" ({option})"), FOLLOW_UP, test, effects.r2, True, unit)
        yield question.answer(contrast(quantity, pairs, how))


def severity(sums: pl.DataFrame, how: Resampling, effects: Effects) -> Iterator[Row]:
    """Claim 7, for every axis that was shifted."""
    text = "Reward error grows with the severity of a shift{}."
    test = "growth of filtering MAE per unit of severity (slope of its logarithm), all representations but state"
    reach, unit = math.log(effects.growth), "× reward error from severity 0 to 1"
    axes = sums.filter(axis_is_shifted(), pl.col("split") == "ood")["axis"].unique().sort()
    if axes.is_empty():
        yield Question("7", text.format(""), OURS, test, reach, True, unit, logged=True).answer(None, lacking_looks(sums))
    for axis in axes:
        alone: list[tuple[str, str | None]] = [(name, None) for name in labels(sums) if base(name) != STATE]
        question = Question(f"7-{axis}", text.format(f" of {axis}"), OURS, test, reach, True, unit, logged=True)
        yield question.answer(contrast(runs.slope(sums, axis, how), alone, how))
