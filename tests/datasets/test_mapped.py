"""Mapped shards give what Zarr reads, and nothing is mapped that is not stored as it is."""

from pathlib import Path

import numpy as np
import pytest
import zarr
from zarr.codecs import Crc32cCodec, ZstdCodec

from datasets.embedding_shards import ARRAY, EmbeddingWriter, Layout
from datasets.errors import DataError
from datasets.mapped import MappedRows, can_map


def _write(folder: Path, shape: tuple[int, ...] = (1000, 8), dtype: str = "float16", hole: bool = True) -> np.ndarray:
    """Shards of 256 rows in chunks of 64; the first chunks hold no rows, and Zarr leaves them out."""
    values = np.random.default_rng(0).normal(size=shape).astype(dtype)
    if hole:
        values[:70] = np.nan
    writer = EmbeddingWriter(folder, Layout(shape[0], shape[1:], dtype, 64, 256), {})
    for index in range(-(-shape[0] // 256)):
        writer.write(index, values[index * 256 : (index + 1) * 256])
    return values


@pytest.mark.parametrize(("shape", "dtype"), [((1000, 8), "float16"), ((300, 5), "float32"), ((257, 2, 3), "float16")])
def test_rows_and_windows_equal_zarrs(tmp_path: Path, shape: tuple[int, ...], dtype: str):
    values = _write(tmp_path, shape, dtype)
    np.testing.assert_array_equal(zarr.open_group(tmp_path, mode="r")[ARRAY][:], values)
    mapped = MappedRows(tmp_path / ARRAY)
    assert (mapped.shape, mapped.dtype) == (shape, np.dtype(dtype))
    rows = np.random.default_rng(1).permutation(shape[0])
    np.testing.assert_array_equal(mapped.rows(rows), values[rows])
    starts = np.array([0, 1, 63, 64, 190, 200, shape[0] - 130])  # within a chunk, over chunks and over shards
    starts = starts[starts + 130 <= shape[0]]
    windows = mapped.windows(starts, 130)
    np.testing.assert_array_equal(windows, values[starts[:, None] + np.arange(130)])


def test_a_window_past_the_last_row_is_an_error(tmp_path: Path):
    _write(tmp_path)
    with pytest.raises(IndexError, match="1000 rows"):
        MappedRows(tmp_path / ARRAY).windows(np.array([0, 996]), 5)


def test_windows_go_into_the_memory_given(tmp_path: Path):
    values = _write(tmp_path)
    out = np.zeros((2, 5, 8), np.float16)
    assert MappedRows(tmp_path / ARRAY).windows(np.array([100, 700]), 5, out) is out
    np.testing.assert_array_equal(out[1], values[700:705])


def test_a_shard_that_holds_no_rows_reads_as_absent(tmp_path: Path):
    _write(tmp_path)
    (tmp_path / ARRAY / "c" / "1" / "0").unlink()
    assert np.isnan(MappedRows(tmp_path / ARRAY).rows(np.arange(256, 512))).all()


def test_a_truncated_shard_is_named(tmp_path: Path):
    _write(tmp_path)
    file = tmp_path / ARRAY / "c" / "2" / "0"
    for size in (20, 600):
        file.write_bytes(file.read_bytes()[-size:])
        with pytest.raises(DataError, match=r"c/2/0 is (truncated|damaged)"):
            MappedRows(tmp_path / ARRAY)


@pytest.mark.parametrize("kind", ["compressed", "across", "unsharded"])
def test_what_cannot_be_mapped_says_so(tmp_path: Path, kind: str):
    options = {
        "compressed": {"chunks": (64, 8), "shards": (256, 8), "compressors": [ZstdCodec(), Crc32cCodec()]},
        "across": {"chunks": (64, 4), "shards": (256, 8), "compressors": [Crc32cCodec()]},
        "unsharded": {"chunks": (64, 8), "compressors": None},
    }[kind]
    group = zarr.open_group(tmp_path, mode="w", zarr_format=3)
    group.create_array(ARRAY, shape=(1000, 8), dtype="float16", filters=None, **options)
    assert not can_map(tmp_path / ARRAY)
    with pytest.raises(DataError, match=r"mapped|sharded"):
        MappedRows(tmp_path / ARRAY)
