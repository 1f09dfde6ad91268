"""The claims of arXiv 2411.10175, each with its test."""

import math
from collections.abc import Iterator

import polars as pl

from analysis.claims import correlated, runs
from analysis.claims.contrasts import Estimate, contrast
from analysis.claims.correlated import FEW_POINTS
from analysis.claims.effects import Effects
from analysis.claims.kinds import MODEL_FREE, against_scratch, is_pre_trained, labels
from analysis.claims.question import STUDY, Question, Row
from analysis.resample import Resampling
from analysis.shared import APART
from analysis.statistics.properties import coded
from analysis.statistics.regression import regress
from datasets.errors import DataError

_RETURN = "mean over PVRs of normalised return less scratch's, {}; PVRs, seeds and episodes resampled"
NO_ONLINE = "no PVR and scratch were trained online on one task; finetune both"
_COVARIATES = {
    "4a": ("web", "Data diversity (pre-training on the open web) helps out of distribution.", True),
    "4b": ("vit", "The ViT architecture helps out of distribution.", True),
    "4c": ("language", "Language conditioning does not help out of distribution.", False),
}


def data_efficiency(sums: pl.DataFrame, online: pl.DataFrame, how: Resampling, effects: Effects) -> Iterator[Row]:
    """Claim 1."""
    own = online.filter(~pl.col("algorithm").is_in(MODEL_FREE))
    quantities = runs.returns(own, sums, effects.max_return, how)
    for number, when, quantity in zip(("1", "1-final"), ("mean over training", "at the end"), quantities, strict=True):
        text = f"Learning from scratch is at least as data-efficient as PVRs (return, {when})."
        question = Question(number, text, STUDY, _RETURN.format(when), effects.score, False, "normalised return")
        yield question.answer(contrast(quantity, against_scratch(labels(own)), how), lacking_returns(own, sums))


def lacking_returns(online: pl.DataFrame, sums: pl.DataFrame) -> str:
    """What has to be there for returns to be compared, where it is not."""
    if not against_scratch(labels(online)):
        return NO_ONLINE
    return "" if runs.random_returns(sums).height else "no held-out episodes of random behaviour, which scores are normalised by"


def out_of_distribution(sums: pl.DataFrame, how: Resampling, effects: Effects) -> Row:
    """Claim 2."""
    text = "PVRs do not generalise better out of distribution than learning from scratch."
    test = "quotient of growths (filtering MAE, held-out shifted looks over the default), PVR over scratch, same episodes"
    question = Question("2", text, STUDY, test, -math.log(effects.growth), True, "× growth of reward error", logged=True)
    pairs = against_scratch(labels(sums))
    lacking = "" if pairs else "no PVR beside scratch"
    return question.answer(contrast(runs.growth(sums, how), pairs, how), lacking or lacking_looks(sums))


def lacking_looks(sums: pl.DataFrame) -> str:
    """Said where no look was held out."""
    return "" if sums.filter(axis_is_shifted(), pl.col("split") == "ood").height else "no shifted looks were held out"


def axis_is_shifted() -> pl.Expr:
    return pl.col("axis") != "default"


def returns_and_errors(
    sums: pl.DataFrame, online: pl.DataFrame, dynamics: pl.DataFrame | None, how: Resampling, effects: Effects
) -> Iterator[Row]:
    """Claim 3, whose two halves the study gives as r = -0.66 and r = -0.22."""
    quantity = runs.returns(online, sums, effects.max_return, how)[1]
    points = quantity.table("return").join(runs.error(sums, how).table("error"), on=list(runs.RUN))
    test = "Pearson's r of the last normalised return and {}, within task and algorithm; encoders resampled"
    unit, least = "correlation", effects.correlation
    questions = [
        Question("3a", "Return falls with the error of predicted reward.", STUDY,
                 test.format("open-loop MAE of reward"), -least, False, unit, few=FEW_POINTS),
        Question("3b", "Return does not fall with the error of predicted dynamics.", STUDY,
                 test.format("dynamics error"), -least, True, unit, few=FEW_POINTS),
        Question("3b-less", "Return falls less with dynamics error than with reward error.", STUDY,
                 "r with dynamics error less r with reward error, encoders resampled", least, True, unit, few=FEW_POINTS),
    ]  # fmt: skip
    few = "" if points.height else "no representation has both a return and a reward error; finetune more of them"
    yield questions[0].answer(correlated.correlation(points, "error", "return", how), few)
    if dynamics is None or dynamics.is_empty():
        for question in questions[1:]:
            yield question.answer(None, "no table of dynamics errors")
        return
    joined = points.join(correlated.dynamics_error(dynamics), on=list(runs.RUN))
    few = few or ("" if joined.height else "no representation has both a return and a dynamics error")
    yield questions[1].answer(correlated.correlation(joined, "dynamics", "return", how), few)
    yield questions[2].answer(correlated.difference(joined, "dynamics", "error", "return", how), few)


def properties_that_help(sums: pl.DataFrame, properties: pl.DataFrame | None, how: Resampling, effects: Effects) -> Iterator[Row]:
    """Claim 4: one regression, each property with the others held equal, as far as they vary."""
    found, reasons = _effects(sums, properties, how)
    reach = math.log(effects.growth)
    for number, (name, text, helps) in _COVARIATES.items():
        test = f"effect of `{name}` on log growth of filtering MAE; mixed model, {', '.join(c[0] for c in _COVARIATES.values())}"
        question = Question(number, text, STUDY, test, -reach, not helps, "× growth of reward error", logged=True)
        yield question.answer(found.get(name), reasons.get(name, ""))


def _effects(sums: pl.DataFrame, properties: pl.DataFrame | None, how: Resampling) -> tuple[dict[str, Estimate], dict[str, str]]:
    names = [name for name, _, _ in _COVARIATES.values()]
    if properties is None or properties.is_empty():
        return {}, dict.fromkeys(names, "no table of the encoders' properties")
    table = runs.growth(sums, how).table("growth").drop_nulls("growth")
    table = table.filter(pl.Series([is_pre_trained(label) for label in table["encoder"]], dtype=pl.Boolean))
    own = table.select(pl.col("encoder").unique().sort()).with_columns(name=pl.col("encoder").str.split(APART).list.first())
    known = own.join(coded(properties).rename({"encoder": "name"}), on="name").drop("name").drop_nulls(names)
    varying = [name for name in names if known[name].n_unique() > 1]
    reasons = {name: f"`{name}` does not vary among {known.height} PVRs" for name in names if name not in varying}
    if not varying:
        return {}, reasons
    try:
        rows = regress(table, known, varying, how.confidence, "growth").rows(named=True)
    except DataError as error:
        return {}, reasons | dict.fromkeys(varying, str(error))
    tasks = table["task"].n_unique()
    found = {r["term"]: Estimate(r["estimate"], r["low"], r["high"], r["p"], r["encoders"], tasks, r["seeds"]) for r in rows}
    return found, reasons
