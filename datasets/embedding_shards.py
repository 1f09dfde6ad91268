"""One array of embeddings, shard by shard: how it is laid out, and how a shard gets onto the disk.

A group LOOK.zarr (docs/formats.md) holds `embedding` [T, D] (frames [T, H, W, 3] for `scratch`) and, where they are asked for,
`tokens` [T, h, w, D] and `hidden` [T, N, D]; int8 ones with their `_scale` [T, D] and `_error` [T].
"""

import os
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import zarr
from numpy.typing import NDArray
from zarr.codecs import Crc32cCodec, ZstdCodec

ARRAY, TOKENS, HIDDEN = "embedding", "tokens", "hidden"
SCALE, ERROR = "_scale", "_error"  # what follows the name of an int8 array


class Layout(NamedTuple):
    """How an array is laid out.

    Attributes:
        rows: T. shape: of one row's value. dtype: as stored.
        chunk, shard: rows of a chunk, and of a shard file.
        array: its name in the group.
        compress: by zstd; it can then not be mapped.
    """

    rows: int
    shape: tuple[int, ...]
    dtype: str
    chunk: int
    shard: int
    array: str = ARRAY
    compress: bool = False

    @property
    def row_bytes(self) -> int:
        """Bytes of one row's value, uncompressed."""
        return int(np.prod(self.shape)) * np.dtype(self.dtype).itemsize

    @property
    def absent(self) -> float:
        """What rows hold that are not there."""
        return float("nan") if np.dtype(self.dtype).kind == "f" else 0

    def file(self, index: int) -> str:
        """Name of shard `index` in its group."""
        return "/".join([self.array, "c", str(index), *["0"] * len(self.shape)])


class EmbeddingWriter:
    """Writes one array shard by shard, each under a temporary name that is then renamed."""

    def __init__(self, path: Path, layout: Layout, attributes: dict[str, Any]) -> None:
        """
        Args:
            path: of the group, made where it is not there.
            layout: of the array.
            attributes: of the group, and of the array too, which may lie beside others.
        """
        self.path, self.layout = path, layout
        rows, shape, dtype, chunk, shard, name, compress = layout
        if not (path / name / "zarr.json").is_file():
            if not (path / "zarr.json").is_file():
                zarr.open_group(path, mode="w", zarr_format=3, attributes=attributes)
            zarr.open_group(path, mode="r+").create_array(
                name, shape=(rows, *shape), dtype=dtype, chunks=(chunk, *shape), shards=(shard, *shape), fill_value=layout.absent,
                compressors=[ZstdCodec(level=1), Crc32cCodec()] if compress else [Crc32cCodec()], filters=None,
                attributes=attributes, overwrite=True,
            )  # fmt: skip
        self._array = zarr.open_group(path, mode="r+")[name]

    def file(self, index: int) -> Path:
        """The file of shard `index`."""
        return self.path / self.layout.file(index)

    def blank(self, index: int) -> NDArray[Any]:
        """An array of shard `index`'s size, filled with what marks an absent row."""
        rows = min(self.layout.shard, self.layout.rows - index * self.layout.shard)
        return np.full((rows, *self.layout.shape), self.layout.absent, self.layout.dtype)

    def write(self, index: int, values: NDArray[Any]) -> None:
        """Write shard `index` whole, and have it on the disk: `values` [min(shard, rows left), ...]."""
        rows = slice(index * self.layout.shard, index * self.layout.shard + len(values))
        self._array[rows] = values  # type: ignore[index]
        if not self.file(index).is_file():  # nothing but fill values (black frames), which Zarr leaves out unless told
            with zarr.config.set({"array.write_empty_chunks": True}):
                zarr.open_group(self.path, mode="r+")[self.layout.array][rows] = values  # type: ignore[index]
        with open(self.file(index), "rb") as file:
            os.fsync(file.fileno())
