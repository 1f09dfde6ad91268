"""Stored vectors read where they lie: an uncompressed Zarr shard is raw rows at known offsets, so it can be mapped into memory.

Zarr's own readers pay milliseconds a slice; a window read here costs little more than copying its bytes. The shard index is
parsed once per file (Zarr v3 sharding codec: at the end of the shard, one (offset, length) pair of little-endian uint64 per chunk
and a crc32c; absent chunks hold 2^64 - 1).
"""

import json
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from datasets.errors import DataError

_ABSENT = 2**64 - 1
_CRC = 4  # bytes behind every chunk, and behind the index


class MappedRows:
    """The rows of one array [T, ...], mapped.

    Nothing is verified while it reads: check the folder's manifest first (`datasets.manifest.verify`).

    Attributes:
        shape: (T, ...). dtype: of the values.
    """

    def __init__(self, array: Path) -> None:
        """
        Args:
            array: folder of a Zarr v3 array, sharded along its first axis alone.

        Raises:
            DataError: its chunks are compressed, or a shard is damaged.
        """
        self.shape, self.dtype, self._chunk, per_shard = _layout(array)
        tail = "/0" * (len(self.shape) - 1)
        blank = np.full((self._chunk, *self.shape[1:]), np.nan if self.dtype.kind == "f" else 0, self.dtype)
        self._chunks: list[NDArray[Any]] = []
        for number in range(-(-self.shape[0] // (self._chunk * per_shard))):
            file = array / f"c/{number}{tail}"
            if file.is_file():
                self._chunks += self._map(file, per_shard, blank)
            else:  # Zarr leaves out a shard of fill values
                self._chunks += [blank] * per_shard

    def _map(self, file: Path, count: int, blank: NDArray[Any]) -> list[NDArray[Any]]:
        held = np.memmap(file, np.uint8, "r").view(np.ndarray)
        index_bytes = 16 * count
        if len(held) < index_bytes + _CRC:
            raise DataError(f"{file} is truncated: {len(held)} bytes do not hold its index; run encode again")
        index = held[-index_bytes - _CRC : -_CRC].view("<u8").reshape(count, 2)
        chunks = []
        for offset, length in index.tolist():
            if offset == _ABSENT:
                chunks.append(blank)
                continue
            if length != blank.nbytes + _CRC or offset + length > len(held):
                raise DataError(f"{file} is damaged: a chunk of {length} bytes at {offset}; run encode again")
            chunks.append(np.ndarray(blank.shape, self.dtype, held.data, offset))
        return chunks

    def windows(self, starts: NDArray[np.int64], length: int, out: NDArray[Any] | None = None) -> NDArray[Any]:
        """Rows `start` to `start + length` of every start: [B, L, ...], in `out` where it is given.

        Raises:
            IndexError: a window ends behind the last row.
        """
        if starts.max(initial=0) + length > self.shape[0]:
            raise IndexError(f"a window of {length} rows from row {starts.max()} on ends behind the {self.shape[0]} rows")
        if out is None:
            out = np.empty((len(starts), length, *self.shape[1:]), self.dtype)
        chunks, size = self._chunks, self._chunk
        for window, start in zip(out, starts.tolist(), strict=True):
            number, within = divmod(start, size)
            taken = 0
            while taken < length:
                part = chunks[number][within : within + length - taken]
                window[taken : taken + len(part)] = part
                taken, number, within = taken + len(part), number + 1, 0
        return out

    def rows(self, rows: NDArray[np.int64]) -> NDArray[Any]:
        """The values [n, ...] of single rows."""
        out = np.empty((len(rows), *self.shape[1:]), self.dtype)
        numbers = rows // self._chunk
        for number in np.unique(numbers).tolist():
            here = numbers == number
            out[here] = self._chunks[number][rows[here] - number * self._chunk]
        return out


def can_map(array: Path) -> bool:
    """Whether an array's chunks are stored as they are, so that `MappedRows` reads them."""
    try:
        _layout(array)
    except DataError:
        return False
    return True


def _layout(array: Path) -> tuple[tuple[int, ...], np.dtype[Any], int, int]:
    """(shape, dtype, rows of a chunk, chunks of a shard)."""
    file = array / "zarr.json"
    try:
        meta = json.loads(file.read_text())
        (sharding,) = meta["codecs"]
        shape, shard = tuple(meta["shape"]), meta["chunk_grid"]["configuration"]["chunk_shape"]
        chunk, inner = sharding["configuration"]["chunk_shape"], sharding["configuration"]["codecs"]
        location = sharding["configuration"].get("index_location", "end")
        dtype = np.dtype(meta["data_type"]).newbyteorder("<")
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise DataError(f"{file} is missing or describes no sharded array ({error}); run encode again") from None
    plain = [codec["name"] for codec in inner] == ["bytes", "crc32c"] and location == "end"
    if not plain or tuple(chunk[1:]) != shape[1:] or tuple(shard[1:]) != shape[1:]:
        raise DataError(f"{array} is compressed or chunked across its rows: it cannot be mapped, read it with Zarr")
    return shape, dtype, int(chunk[0]), int(shard[0]) // int(chunk[0])
