"""Other libraries read our shards as they are."""

from pathlib import Path

import dask.array as da
import numpy as np
import pytest
import tensorstore as ts

from datasets.embedding_shards import ARRAY, EmbeddingWriter, Layout


@pytest.fixture
def stored(tmp_path: Path) -> tuple[Path, np.ndarray]:
    """The array of a look whose first rows were not rendered."""
    values = np.random.default_rng(0).normal(size=(1000, 12)).astype(np.float16)
    values[:300] = np.nan
    writer = EmbeddingWriter(tmp_path / "default.zarr", Layout(1000, (12,), "float16", 64, 256), {"rows": [[300, 1000]]})
    for index in range(4):
        writer.write(index, values[index * 256 : (index + 1) * 256])
    return tmp_path / "default.zarr" / ARRAY, values


def test_tensorstore(stored: tuple[Path, np.ndarray]):
    path, values = stored
    opened = ts.open({"driver": "zarr3", "kvstore": {"driver": "file", "path": str(path)}}).result()
    np.testing.assert_array_equal(opened.read().result(), values)
    np.testing.assert_array_equal(opened[500:520].read().result(), values[500:520])


def test_dask(stored: tuple[Path, np.ndarray]):
    path, values = stored
    array = da.from_zarr(str(path), chunks=(256, 12))
    mean = array[300:].astype("float64").mean(0).compute()
    np.testing.assert_allclose(mean, values[300:].astype(np.float64).mean(0), rtol=1e-10)
    np.testing.assert_array_equal(array.compute(), values)
