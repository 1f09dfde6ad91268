"""Tables say which version of their schema they are of; older ones are read, newer and damaged ones named in one line."""

from pathlib import Path

import polars as pl
import pytest

from analysis.schema import KEY, VERSION, scan_table, version_of
from analysis.tables import COSTS, ONLINE, TABLES, write_table
from datasets.errors import DataError
from tests.analysis.planted import online

OLD_COSTS = {name: "x" if kind == pl.String else 0.5 for name, kind in COSTS.items() if name != "bytes"}


def complaint(path: Path, table: str = "online") -> str:
    with pytest.raises(DataError) as caught:
        scan_table(path, TABLES[table], table).collect()
    assert "\n" not in str(caught.value) and str(path) in str(caught.value)
    return str(caught.value)


def test_a_table_carries_its_version_and_its_bytes_depend_on_its_rows_alone(tmp_path: Path) -> None:
    paths = [tmp_path / f"{number}.parquet" for number in range(3)]
    for path, table in zip(paths, (online("state"), online("state").lazy(), online("state")), strict=True):
        write_table(table, path)
        assert version_of(path) == VERSION
    assert paths[0].read_bytes() == paths[2].read_bytes()
    assert scan_table(paths[1], ONLINE, "online").collect().equals(online("state"))


def test_a_table_that_says_nothing_is_of_version_1_and_lacks_no_column_that_came_later(tmp_path: Path) -> None:
    path = tmp_path / "costs.parquet"
    pl.DataFrame([OLD_COSTS]).write_parquet(path)
    assert version_of(path) == 1
    read = scan_table(path, COSTS, "costs").collect()
    assert read.schema == pl.Schema(COSTS) and read["bytes"].to_list() == [None] and read["cpu_s"].item() == 0.5


def test_a_column_that_its_own_version_has_must_be_there(tmp_path: Path) -> None:
    path = tmp_path / "costs.parquet"
    write_table(pl.DataFrame([OLD_COSTS]), path)
    assert "lacks the column bytes" in complaint(path, "costs")
    write_table(online("state").drop("return"), path)
    assert "lacks the column return" in complaint(path)
    write_table(online("state").with_columns(env_steps=pl.lit("many")), path)
    assert "env_steps is String, Int64 expected" in complaint(path)


@pytest.mark.parametrize(("said", "words"), [(str(VERSION + 1), "newer than"), ("two", "'two'"), ("0", "'0'")])
def test_a_version_that_is_newer_or_none_is_named(tmp_path: Path, said: str, words: str) -> None:
    path = tmp_path / "online.parquet"
    online("state").write_parquet(path, metadata={KEY: said})
    assert words in complaint(path)


def test_missing_and_damaged_tables_are_named(tmp_path: Path) -> None:
    path = tmp_path / "online.parquet"
    assert "missing" in complaint(path)
    write_table(online("state"), path)
    path.write_bytes(path.read_bytes()[:-20])
    assert "not a readable Parquet file" in complaint(path)
