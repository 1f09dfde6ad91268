"""Embeddings: one Zarr v3 group per (task, encoder, look), row for row the trajectory file.

Folder `data/embeddings/TASK/ENCODER/`: `LOOK.zarr` groups and `manifest.json`. Array `embedding` is [T, ...], sharded along
time, vectors uncompressed (raw frames by zstd), every chunk with a crc32c; rows without frames hold NaN (0 for uint8). The
group's attributes say what made it and which rows are filled. Any Zarr reader can read it.
"""

import json
import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Generic, NamedTuple, TypeVar

import numpy as np
import zarr
from numpy.typing import NDArray
from zarr.codecs import Crc32cCodec, ZstdCodec

from datasets.errors import DataError
from datasets.frames import DEFAULT
from datasets.manifest import read_manifest, verify
from datasets.mapped import MappedRows, can_map

ARRAY = "embedding"
V = TypeVar("V", NDArray[Any], MappedRows)


@dataclass(frozen=True)
class Embeddings(Generic[V]):
    """One look's embeddings.

    Attributes:
        values: [T, D] float16/float32, or [T, H, W, 3] uint8 for `scratch`; in memory, or mapped.
        attributes: encoder, weights_sha256, layer, pooling, preprocessing, dtype, frames_digest, rows, ...
    """

    values: V
    attributes: dict[str, Any]

    @property
    def rows(self) -> NDArray[np.int64]:
        """int64, the rows that are filled."""
        return np.concatenate([np.arange(a, b, dtype=np.int64) for a, b in self.attributes["rows"]])


class Layout(NamedTuple):
    """How an array is laid out: rows T, shape of one row's value, stored dtype, rows of a chunk, rows of a shard file."""

    rows: int
    shape: tuple[int, ...]
    dtype: str
    chunk: int
    shard: int


class EmbeddingWriter:
    """Writes one group shard by shard, each under a temporary name that is then renamed."""

    def __init__(self, path: Path, layout: Layout, attributes: dict[str, Any]) -> None:
        self.path, self.layout = path, layout
        rows, shape, dtype, chunk, shard = layout
        fill = float("nan") if np.dtype(dtype).kind == "f" else 0
        if not (path / ARRAY / "zarr.json").is_file():
            group = zarr.open_group(path, mode="w", zarr_format=3, attributes=attributes)
            group.create_array(
                ARRAY, shape=(rows, *shape), dtype=dtype, chunks=(chunk, *shape), shards=(shard, *shape), fill_value=fill,
                compressors=[ZstdCodec(level=1), Crc32cCodec()] if fill == 0 else [Crc32cCodec()], filters=None,
            )  # fmt: skip
        self._array = zarr.open_group(path, mode="r+")[ARRAY]

    def file(self, index: int) -> Path:
        """The file of shard `index`."""
        return self.path / ARRAY / "c" / "/".join([str(index)] + ["0"] * len(self.layout.shape))

    def blank(self, index: int) -> NDArray[Any]:
        """An array of shard `index`'s size, filled with what marks an absent row."""
        rows = min(self.layout.shard, self.layout.rows - index * self.layout.shard)
        value = np.nan if np.dtype(self.layout.dtype).kind == "f" else 0
        return np.full((rows, *self.layout.shape), value, self.layout.dtype)

    def write(self, index: int, values: NDArray[Any]) -> None:
        """Write shard `index` whole, and have it on the disk: `values` [min(shard, rows left), ...]."""
        start = index * self.layout.shard
        self._array[start : start + len(values)] = values  # type: ignore[index]
        if not self.file(index).is_file():  # nothing but fill values (black frames), which Zarr leaves out unless told
            with zarr.config.set({"array.write_empty_chunks": True}):
                zarr.open_group(self.path, mode="r+")[ARRAY][start : start + len(values)] = values  # type: ignore[index]
        with open(self.file(index), "rb") as file:
            os.fsync(file.fileno())


def training_variants(folder: Path) -> list[str]:
    """Names of the looks in an embeddings folder that models train on (split `id`), the default look first.

    Raises:
        DataError: the folder is missing or one of its groups is damaged.
    """
    found = []
    for name in read_manifest(folder)["files"]:
        variant, _, rest = name.partition(".zarr/")
        if rest != "zarr.json":
            continue
        try:
            attributes = json.loads((folder / name).read_text())["attributes"]
        except (OSError, ValueError, KeyError) as error:
            raise DataError(f"{folder / name} is damaged ({error}); remove {folder} and run encode again") from None
        if attributes.get("split") == "id":
            found.append(variant)
    return sorted(found, key=lambda variant: (variant != DEFAULT, variant))


def load_embeddings(folder: Path, variant: str) -> Embeddings[NDArray[Any]]:
    """Read one look's embeddings into memory, every checksum verified.

    Raises:
        DataError: missing, truncated, altered, or of another encoder than the folder says.
    """
    path = _verified(folder, variant)
    try:
        group = zarr.open_group(path, mode="r")
        values = np.asarray(group[ARRAY][:])  # type: ignore[index]
        attributes = dict(group.attrs)
        attributes["rows"]
    except Exception as error:  # zarr raises many kinds for a damaged group
        raise DataError(f"{path} is damaged ({str(error).splitlines()[0]}); remove {folder} and run encode again") from None
    return Embeddings(values, attributes)


def map_embeddings(folder: Path, variant: str) -> Embeddings[MappedRows]:
    """One look's embeddings, mapped rather than read; the shards' checksums are verified first.

    Raises:
        DataError: as `load_embeddings`; or the look is stored compressed.
    """
    path = _verified(folder, variant)
    return Embeddings(MappedRows(path / ARRAY), _attributes(path))


def stored_bytes(folder: Path, variant: str) -> tuple[int, bool]:
    """Bytes that one look's values take in memory, and whether they can be mapped instead.

    Raises:
        DataError: the look is missing or damaged.
    """
    file = folder / f"{variant}.zarr" / ARRAY / "zarr.json"
    try:
        meta = json.loads(file.read_text())
        size = int(np.prod(meta["shape"])) * np.dtype(meta["data_type"]).itemsize
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise DataError(f"{file} is missing or damaged ({error}); remove {folder} and run encode again") from None
    return size, can_map(file.parent)


def _verified(folder: Path, variant: str) -> Path:
    path = folder / f"{variant}.zarr"
    verify(folder, only=f"{variant}.zarr/")
    if not path.is_dir():
        raise DataError(f"{path} is missing: look {variant!r} was not encoded; run `dvc repro`")
    return path


def _attributes(path: Path) -> dict[str, Any]:
    try:
        attributes = dict(json.loads((path / "zarr.json").read_text())["attributes"])
        attributes["rows"]
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise DataError(f"{path} is damaged ({error}); remove {path.parent} and run encode again") from None
    return attributes
