"""Embeddings: one Zarr v3 group per (task, encoder, look), row for row the trajectory file.

Folder `data/embeddings/TASK/ENCODER/`: `LOOK.zarr` groups and `manifest.json`. Array `embedding` is [T, ...], sharded along
time, vectors uncompressed (raw frames by zstd), every chunk with a crc32c; rows without frames hold NaN (0 for integers). The
group's attributes say what made it and which rows are filled. Any Zarr reader can read it. `tokens` and `hidden`, which a group
may hold besides: `datasets.tokens`.
"""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Generic, TypeVar

import numpy as np
import zarr
from numpy.typing import NDArray

from datasets.embedding_shards import ARRAY
from datasets.errors import DataError
from datasets.frames import DEFAULT
from datasets.manifest import read_manifest, verify
from datasets.mapped import MappedRows, can_map

V = TypeVar("V")


@dataclass(frozen=True)
class Embeddings(Generic[V]):
    """One array of one look.

    Attributes:
        values: [T, D] float16/float32, or [T, H, W, 3] uint8 for `scratch` and `scratch_64`; in memory, or mapped.
        attributes: encoder, weights_sha256, layer, pooling, preprocessing, dtype, frames_digest, rows, ...
    """

    values: V
    attributes: dict[str, Any]

    @property
    def rows(self) -> NDArray[np.int64]:
        """int64, the rows that are filled."""
        return np.concatenate([np.arange(a, b, dtype=np.int64) for a, b in self.attributes["rows"]])


def training_variants(folder: Path) -> list[str]:
    """Names of the looks in an embeddings folder that models train on (split `id`), the default look first.

    Raises:
        DataError: the folder is missing or one of its groups is damaged.
    """
    found = [variant for variant in looks_of(folder) if attributes_of(folder / f"{variant}.zarr", ARRAY).get("split") == "id"]
    return sorted(found, key=lambda variant: (variant != DEFAULT, variant))


def looks_of(folder: Path) -> list[str]:
    """Names of the looks in an embeddings folder, the default look first.

    Raises:
        DataError: the folder is missing or has no manifest.
    """
    names = {name.partition(".zarr/") for name in read_manifest(folder)["files"]}
    return sorted({look for look, _, rest in names if rest == "zarr.json"}, key=lambda name: (name != DEFAULT, name))


def arrays_of(folder: Path, variant: str) -> list[str]:
    """Names of the arrays of one look.

    Raises:
        DataError: the folder is missing or has no manifest.
    """
    parts = [name.split("/") for name in read_manifest(folder)["files"]]
    return sorted(part[1] for part in parts if part[0] == f"{variant}.zarr" and part[2:] == ["zarr.json"])


def load_embeddings(folder: Path, variant: str, array: str = ARRAY) -> Embeddings[NDArray[Any]]:
    """Read one look's embeddings into memory, every checksum verified.

    Raises:
        DataError: missing, truncated, altered, or of another encoder than the folder says.
    """
    path = verified(folder, variant, array)
    attributes = attributes_of(path, array)
    try:
        values = np.asarray(zarr.open_group(path, mode="r")[array][:])  # type: ignore[index]
    except Exception as error:  # zarr raises many kinds for a damaged group
        raise DataError(f"{path} is damaged ({str(error).splitlines()[0]}); remove {folder} and run encode again") from None
    return Embeddings(values, attributes)


def map_embeddings(folder: Path, variant: str, array: str = ARRAY) -> Embeddings[MappedRows]:
    """One look's embeddings, mapped rather than read; the shards' checksums are verified first.

    Raises:
        DataError: as `load_embeddings`; or the look is stored compressed.
    """
    path = verified(folder, variant, array)
    return Embeddings(MappedRows(path / array), attributes_of(path, array))


def stored_bytes(folder: Path, variant: str, array: str = ARRAY) -> tuple[int, bool]:
    """Bytes that one look's values take in memory, tokens as float16, and whether they can be mapped instead.

    Raises:
        DataError: the look is missing or damaged.
    """
    file = folder / f"{variant}.zarr" / array / "zarr.json"
    try:
        meta = json.loads(file.read_text())
        size = int(np.prod(meta["shape"])) * (np.dtype(meta["data_type"]).itemsize if array == ARRAY else 2)
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise DataError(f"{file} is missing or damaged ({error}); remove {folder} and run encode again") from None
    return size, array != ARRAY or can_map(file.parent)


def verified(folder: Path, variant: str, array: str) -> Path:
    """The group of a look, one of its arrays checked against the folder's manifest.

    Raises:
        DataError: the look or the array is missing, truncated or altered.
    """
    path = folder / f"{variant}.zarr"
    verify(folder, only=(f"{variant}.zarr/zarr.json", f"{variant}.zarr/{array}/"))
    if not path.is_dir():
        raise DataError(f"{path} is missing: look {variant!r} was not encoded; run `dvc repro`")
    if not (path / array).is_dir():
        raise DataError(f"{path} has no {array}; set encode.tokens in params.yaml, then `dvc repro`")
    return path


def attributes_of(group: Path, array: str) -> dict[str, Any]:
    """What made an array: the group's attributes, and its own.

    Raises:
        DataError: the metadata are damaged.
    """
    try:
        whole, own = (json.loads((at / "zarr.json").read_text())["attributes"] for at in (group, group / array))
        whole["rows"]
        return {**whole, **own}
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise DataError(f"{group} is damaged ({error}); remove {group.parent} and run encode again") from None
