"""Per-episode sums say what the predictions say, refuse tables that cannot be trusted, and repeat bit for bit."""

import math
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import polars as pl
import pytest

from analysis.accumulate import Sums
from analysis.baselines import PREDICT_MEAN, REPEAT_LAST, baseline_sums
from analysis.sums import EPISODE, MODEL, STATISTICS, add_up, bin_sums, check_paired, episode_sums, with_horizon_bins
from analysis.tables import REWARD_ERROR, scan_parts
from datasets.errors import DataError
from tests.analysis.planted import SMALL, reward_error


@pytest.fixture(scope="module")
def part() -> pl.DataFrame:
    return reward_error("autoencoder", SMALL)


def test_sums_are_those_of_the_rows(part: pl.DataFrame) -> None:
    sums = episode_sums(part.lazy(), SMALL.short)
    row = sums.filter(pl.col("axis") == "texture", pl.col("severity") == 0.5, pl.col("episode") == 77, pl.col("horizon") == 2)
    rows = part.filter(pl.col("axis") == "texture", pl.col("severity") == 0.5, pl.col("episode") == 77, pl.col("horizon") == 2)
    pairs = [(float(r), float(p)) for r, p in rows.select("reward", "reward_pred").rows()]
    expected = [
        len(pairs), math.fsum(r for r, _ in pairs), math.fsum(r * r for r, _ in pairs), math.fsum(p for _, p in pairs),
        math.fsum((p - r) ** 2 for r, p in pairs), math.fsum(abs(p - r) for r, p in pairs),
    ]  # fmt: skip
    assert row.select(STATISTICS).row(0) == pytest.approx(expected, rel=1e-12)
    assert sums["n"].sum() == len(part)


def test_horizons_beyond_the_short_ones_are_pooled_in_octaves() -> None:
    rows = pl.DataFrame({"horizon": pl.Series([0, 1, 3, 4, 7, 8, 15, 16, 40], dtype=pl.Int32)})
    binned = with_horizon_bins(rows, short=3)
    assert binned.rows() == [(0, 0), (1, 1), (3, 3), (4, 7), (4, 7), (8, 15), (8, 15), (16, 31), (32, 63)]


def test_the_order_of_groups_does_not_change_a_bit(part: pl.DataFrame) -> None:
    """Rows keep their order within a group; groups come in any order (as from parts read in another order)."""
    shuffled = pl.concat(part.partition_by("variant", "episode")[::-1])
    keys = [*EPISODE, "horizon"]
    assert add_up(part, keys).equals(add_up(shuffled, keys))


def test_how_the_table_is_cut_does_not_change_a_bit(part: pl.DataFrame) -> None:
    whole, cut, ahead = (Sums(part.select(EPISODE).schema, 4) for _ in range(3))
    whole.add(part, part["horizon"].clip(0, 3).to_numpy())
    pieces = [(rows, rows["horizon"].clip(0, 3).to_numpy()) for rows in part.iter_slices(37)]
    for (rows, bin), (same, ids) in zip(pieces, ahead.add_each(iter(pieces)), strict=True):
        assert rows is same
        assert (ids == cut.add(rows, bin)).all()
        assert ahead.size == cut.size  # whatever has been numbered ahead
    assert cut.table().equals(whole.table())
    assert ahead.table().equals(whole.table())
    assert whole.table()["n"].sum() == len(part)


def test_what_goes_wrong_in_a_piece_is_raised(part: pl.DataFrame) -> None:
    def broken() -> Iterator[tuple[pl.DataFrame, None]]:
        yield part, None
        raise DataError("the rest is unreadable")

    with pytest.raises(DataError, match="unreadable"):
        list(Sums(part.select(EPISODE).schema).add_each(broken()))


def test_no_rows_make_no_groups(part: pl.DataFrame) -> None:
    bins = bin_sums(part.clear().lazy(), 0.0, 1.0, 4)
    assert bins.is_empty() and set(STATISTICS) < set(bins.columns)


def test_a_coarser_grouping_adds_the_finer_one_up(part: pl.DataFrame) -> None:
    keys = (*MODEL, "episode", "axis")
    coarse = episode_sums(part.lazy(), SMALL.short, keys)
    fine = episode_sums(part.lazy(), SMALL.short).group_by(*keys, "horizon").agg(pl.col("n", "ae").sum())
    both = coarse.join(fine, on=[*keys, "horizon"], validate="1:1")
    assert len(both) == len(coarse) == len(fine)
    np.testing.assert_allclose(both["ae"], both["ae_right"], rtol=1e-12)
    assert both["n"].equals(both["n_right"].rename("n"))


def test_every_reward_falls_in_one_bin(part: pl.DataFrame) -> None:
    low, high = float(part["reward"].min()), float(part["reward"].max())
    bins = bin_sums(part.lazy(), low, high, 4)
    assert bins["n"].sum() == len(part.filter(pl.col("horizon") == 0))
    mean = bins["r"] / bins["n"]
    assert ((mean >= bins["reward_from"] - 1e-9) & (mean <= bins["reward_to"] + 1e-9)).all()


def test_a_constant_reward_has_one_bin(part: pl.DataFrame) -> None:
    flat = part.with_columns(reward=pl.lit(1.0, pl.Float32))
    assert bin_sums(flat.lazy(), 1.0, 1.0, 4)["reward_from"].unique().to_list() == [1.0]


def test_a_prediction_that_is_not_finite_is_refused(part: pl.DataFrame) -> None:
    for bad in (math.nan, math.inf, None):
        broken = part.with_columns(
            reward_pred=pl.when(pl.int_range(pl.len()) == 7).then(pl.lit(bad, pl.Float32)).otherwise("reward_pred")
        )
        with pytest.raises(DataError, match=r"autoencoder on cartpole_swingup.*not finite"):
            episode_sums(broken.lazy(), SMALL.short)


def test_a_prediction_that_appears_twice_is_refused(part: pl.DataFrame) -> None:
    with pytest.raises(DataError, match="appears twice"):
        episode_sums(pl.concat([part, part.head(1)]).lazy(), SMALL.short)


def test_models_asked_different_questions_are_not_compared(part: pl.DataFrame) -> None:
    other = reward_error("state", SMALL)
    for fewer in (
        other.filter(pl.col("t") != 5),
        other.filter(pl.col("axis") != "camera"),
        other.filter(pl.col("episode") != 75),
    ):
        sums = pl.concat([episode_sums(table.lazy(), SMALL.short) for table in (part, fewer)])
        with pytest.raises(DataError, match=r"state.*predicts fewer rewards"):
            check_paired(sums)
    check_paired(pl.concat([episode_sums(table.lazy(), SMALL.short) for table in (part, other)]))


def test_an_empty_table_is_refused(part: pl.DataFrame) -> None:
    with pytest.raises(DataError, match="no rows"):
        episode_sums(part.clear().lazy(), SMALL.short)


def test_baselines_are_what_they_say(part: pl.DataFrame) -> None:
    sums = baseline_sums(part.lazy(), SMALL.short)
    default = part.filter(pl.col("axis") == "default")
    reward = {(e, t): float(r) for e, t, r in default.filter(pl.col("horizon") == 0).select("episode", "t", "reward").rows()}
    for horizon in (0, 1, 3):
        rows = default.filter(pl.col("horizon") == horizon)
        truth = np.array([reward[e, t] for e, t in rows.select("episode", "t").rows()])
        last = np.array([reward.get((e, t - max(horizon, 1)), 0.0) for e, t in rows.select("episode", "t").rows()])
        for name, guess in ((REPEAT_LAST, last), (PREDICT_MEAN, np.full(len(truth), truth.mean()))):
            own = sums.filter(pl.col("encoder") == name, pl.col("horizon") == horizon)
            assert own["se"].sum() == pytest.approx(((guess - truth) ** 2).sum(), rel=1e-9)
            assert own["ae"].sum() == pytest.approx(np.abs(guess - truth).sum(), rel=1e-9)


def test_damaged_tables_are_named_in_one_line(part: pl.DataFrame, tmp_path: Path) -> None:
    path = tmp_path / "reward_error.parquet"
    with pytest.raises(DataError, match="missing"):
        scan_parts([path], REWARD_ERROR)
    part.drop("severity").write_parquet(path)
    with pytest.raises(DataError, match="lacks the column severity"):
        scan_parts([path], REWARD_ERROR)
    part.with_columns(pl.col("reward").cast(pl.String)).write_parquet(path)
    with pytest.raises(DataError, match="column reward is String"):
        scan_parts([path], REWARD_ERROR)
    part.write_parquet(path)
    path.write_bytes(path.read_bytes()[:1000])
    with pytest.raises(DataError, match="not a readable Parquet file") as error:
        scan_parts([path], REWARD_ERROR)
    assert str(path) in str(error.value) and "\n" not in str(error.value)
