"""The mixed model is statsmodels' (whose code gave the constants), and encoders, not runs, are the sample."""

import dataclasses

import numpy as np
import polars as pl
import pytest
from scipy import stats

from analysis.statistics.mixed import fit
from analysis.statistics.properties import coded
from analysis.statistics.regression import regress
from datasets.errors import DataError
from pipeline.encoders import list_encoders


def study(encoders: int, tasks: int, seeds: int, effect: float, seed: int = 0) -> tuple[pl.DataFrame, pl.DataFrame]:
    """Runs and properties: `has` is worth `effect`, `size` 0.3."""
    rng = np.random.default_rng(seed)
    shape = (encoders, tasks, seeds)
    has, size = np.arange(encoders) % 2 == 1, rng.normal(size=encoders)
    level = effect * has + 0.3 * size + 0.3 * rng.normal(size=encoders)
    score = level[:, None, None] + rng.normal(size=(1, tasks, 1)) + 0.2 * rng.normal(size=shape)
    index = dict(zip(("encoder", "task", "seed"), np.indices(shape).reshape(3, -1), strict=True))
    runs = pl.DataFrame(index | {"score": score.ravel(), "algorithm": "a"})
    return runs, pl.DataFrame({"encoder": np.arange(encoders), "has": has, "size": size})


def test_the_fit_is_statsmodels() -> None:
    """MixedLM of statsmodels 0.15.0 with the factors as variance components, unbalanced: effects, their errors, variances."""
    rng = np.random.default_rng(7)
    encoder, task = np.repeat(np.arange(12), 4), np.tile(np.arange(4), 12)
    has, size = (np.arange(12) % 2).astype(float), np.round(rng.normal(size=12), 3)
    noise = rng.normal(size=12)[encoder] * 0.6 + rng.normal(size=4)[task] + rng.normal(size=48) * 0.4
    y = np.round(0.5 * has[encoder] + 0.3 * size[encoder] + noise, 3)
    kept = np.delete(np.arange(48), [3, 17, 30])
    x = np.column_stack([np.ones(48), has[encoder], size[encoder]])
    found = fit(y[kept], x[kept], [encoder[kept], task[kept]])
    np.testing.assert_allclose(found.effects, [-1.4789618, 1.0091388, -0.0147335], atol=2e-6)
    np.testing.assert_allclose(np.sqrt(np.diag(found.covariance)), [0.6052157, 0.2738143, 0.2168631], rtol=1e-4)
    np.testing.assert_allclose(found.variances, [0.1939063, 1.3124958, 0.1136344], rtol=1e-4)


def test_with_every_task_for_every_encoder_it_is_the_regression_of_encoders_means() -> None:
    runs, properties = study(14, 4, 3, 0.5)
    found = regress(runs, properties, ["has"], 0.95).row(0, named=True)
    means = runs.group_by("encoder").agg(pl.col("score").mean()).sort("encoder")["score"].to_numpy()
    has = properties["has"].to_numpy()
    expected = stats.ttest_ind(means[has], means[~has])
    interval = expected.confidence_interval(0.95)
    assert found["freedom"] == 12
    assert (found["estimate"], found["low"], found["high"]) == pytest.approx(
        (means[has].mean() - means[~has].mean(), interval.low, interval.high), rel=1e-4
    )
    assert found["p"] == pytest.approx(expected.pvalue, rel=1e-3)


def test_planted_effects_are_recovered() -> None:
    runs, properties = study(40, 5, 3, 0.8)
    found = regress(runs, properties, ["has", "size"], 0.95)
    for row, truth in zip(found.iter_rows(named=True), (0.8, 0.3), strict=True):
        assert row["low"] < truth < row["high"] and row["low"] > 0
    assert found.select("encoders", "points", "seeds", "few_seeds").row(0) == (40, 200, 3, False)


def test_more_seeds_of_the_same_encoders_do_not_make_more_encoders() -> None:
    runs, properties = study(12, 3, 1, 0.5)
    copied = pl.concat([runs.with_columns(seed=pl.lit(seed)) for seed in range(20)])
    one, many = (regress(table, properties, ["has"], 0.95) for table in (runs, copied))
    np.testing.assert_allclose(one.select("low", "high").row(0), many.select("low", "high").row(0), rtol=1e-4)


def test_encoders_without_a_known_property_are_left_out_and_counted() -> None:
    runs, properties = study(14, 2, 3, 0.5)
    gaps = properties.with_columns(pl.when(pl.col("encoder") > 1).then("size").alias("size"))
    assert regress(runs, gaps, ["has", "size"], 0.95)["encoders"].unique().to_list() == [12]


def test_what_cannot_be_told_apart_is_refused() -> None:
    runs, properties = study(10, 2, 3, 0.5)
    with pytest.raises(DataError, match="has, same cannot be told apart"):
        regress(runs, properties.with_columns(same=1 - pl.col("has").cast(pl.Int8)), ["has", "same"], 0.95)
    with pytest.raises(DataError, match="does not vary"):
        regress(runs, properties.with_columns(size=pl.lit(1.0)), ["size"], 0.95)
    with pytest.raises(DataError, match="3 encoders are too few"):
        regress(runs.filter(pl.col("encoder") < 3), properties, ["has", "size"], 0.95)


def test_every_registered_encoder_s_properties_are_known() -> None:
    names = ("architecture", "objective", "data", "images", "language", "temporal")
    rows = [{"encoder": info.name} | {name: getattr(info, name) for name in names} for info in list_encoders()]
    assert set(names) < {field.name for field in dataclasses.fields(list_encoders()[0])}
    table = coded(pl.DataFrame(rows, infer_schema_length=None))
    assert table.null_count().row(0, named=True) | {"images_log10": 0} == dict.fromkeys(table.columns, 0)
    of = {row["encoder"]: row for row in table.iter_rows(named=True)}
    assert (of["clip_vitl14"]["vit"], of["clip_vitl14"]["web"], of["clip_vitl14"]["language"]) == (1, 1, 1)
    assert (of["r3m_rn50"]["vit"], of["r3m_rn50"]["temporal"], of["r3m_rn50"]["domain"]) == (0, 1, "egocentric")
    assert of["vc1_vitl"]["objective_pixels"] == 1 and of["vc1_vitl"]["images_log10"] == pytest.approx(np.log10(5_621_987))
