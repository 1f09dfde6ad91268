"""Other libraries read our shards as they are."""

from pathlib import Path

import dask.array as da
import numpy as np
import pytest
import tensorstore as ts

from datasets.embedding_shards import EmbeddingWriter, Layout

VECTORS = Layout(1000, (12,), "float16", 64, 256)
TOKENS = Layout(1000, (3, 3, 12), "int8", 8, 256, "tokens", compress=True)


@pytest.fixture(params=[VECTORS, TOKENS], ids=["vectors", "compressed tokens"])
def stored(request: pytest.FixtureRequest, tmp_path: Path) -> tuple[Path, np.ndarray]:
    """The array of a look whose first rows were not rendered."""
    layout = request.param
    values = np.random.default_rng(0).normal(size=(1000, *layout.shape)) * 40
    values = values.astype(layout.dtype)
    values[:300] = layout.absent
    writer = EmbeddingWriter(tmp_path / "default.zarr", layout, {"rows": [[300, 1000]]})
    for index in range(4):
        writer.write(index, values[index * 256 : (index + 1) * 256])
    return tmp_path / "default.zarr" / layout.array, values


def test_tensorstore(stored: tuple[Path, np.ndarray]):
    path, values = stored
    opened = ts.open({"driver": "zarr3", "kvstore": {"driver": "file", "path": str(path)}}).result()
    np.testing.assert_array_equal(opened.read().result(), values)
    np.testing.assert_array_equal(opened[500:520].read().result(), values[500:520])


def test_dask(stored: tuple[Path, np.ndarray]):
    path, values = stored
    array = da.from_zarr(str(path), chunks=(256, *values.shape[1:]))
    mean = array[300:].astype("float64").mean(0).compute()
    np.testing.assert_allclose(mean, values[300:].astype(np.float64).mean(0), rtol=1e-10)
    np.testing.assert_array_equal(array.compute(), values)
