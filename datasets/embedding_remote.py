"""The store's entries on S3 or any other file system that fsspec knows, under the same names.

A shard travels before its note and the notes before the identity, and comes back the same way: whatever is cut short on the way
looks like shards that have not been computed. Nothing that is there is sent again.
"""

import json
import os
from collections.abc import Iterator
from pathlib import Path, PurePosixPath
from typing import Any

import fsspec

from datasets.embedding_store import IDENTITY, SHARDS, VALUES, shard_file, value_files
from datasets.errors import DataError, UserError
from datasets.manifest import sha256_file


class Remote:
    """A folder of entries behind an fsspec address (`s3://bucket/encore`, `file:///mnt/share`, `gs://...`)."""

    def __init__(self, url: str) -> None:
        """
        Raises:
            UserError: no such protocol, or its package is not installed.
        """
        try:
            fs, self._root = fsspec.core.url_to_fs(url)
        except (ValueError, ImportError) as error:
            raise UserError(f"{url}: {str(error).splitlines()[0]}") from None
        self._fs: Any = fs
        self.url = url

    def entries(self) -> list[str]:
        """Ids of the entries there, sorted.

        Raises:
            UserError: the address does not answer.
        """
        try:
            if not self._fs.exists(self._root):
                return []
            found = self._fs.ls(self._root, detail=False)
        except Exception as error:  # each file system has kinds of its own
            raise UserError(f"{self.url} does not answer: {type(error).__name__}: {str(error).splitlines()[0]}") from None
        return sorted(PurePosixPath(path).name for path in found)

    def push(self, folder: Path) -> Iterator[int]:
        """Send what is missing of the store's entry `folder`; yields the bytes of each file sent."""
        there = self._sizes(folder.name)
        for name in _ordered(_local(folder)):
            size = (folder / name).stat().st_size
            if there.get(name) != size:
                self._fs.makedirs(self._at(folder.name, PurePosixPath(name).parent.as_posix()), exist_ok=True)
                self._fs.put_file(str(folder / name), self._at(folder.name, name))
                yield size

    def pull(self, entry: str, root: Path) -> Iterator[int]:
        """Bring what is missing of an entry to `root`; yields the bytes of each file brought.

        Raises:
            DataError: a shard is not what its note says.
        """
        folder, there = root / entry, self._sizes(entry)
        for name in _ordered(list(there)):
            file = folder / name
            if file.is_file() and file.stat().st_size == there[name]:
                continue
            file.parent.mkdir(parents=True, exist_ok=True)
            temporary = file.with_name(f".{file.name}.new")
            self._fs.get_file(self._at(entry, name), str(temporary))
            if name.startswith(f"{SHARDS}/"):
                self._check(folder, file, json.loads(temporary.read_text()))
            os.replace(temporary, file)
            yield there[name]

    def _check(self, folder: Path, note: Path, noted: dict[str, Any]) -> None:
        shard = shard_file(folder, note.stem)
        if shard is None or shard.stat().st_size != noted["bytes"] or sha256_file(shard) != noted["sha256"]:
            if shard is not None:
                shard.unlink()
            raise DataError(
                f"{self.url}/{folder.name}: shard {note.stem} is not what was written; remove it there and push again"
            )

    def _sizes(self, entry: str) -> dict[str, int]:
        base = self._at(entry)
        if not self._fs.exists(base):
            return {}
        start = self._fs._strip_protocol(base)
        found = self._fs.find(base, detail=True).items()
        return {PurePosixPath(path).relative_to(start).as_posix(): int(at["size"]) for path, at in found}

    def _at(self, *parts: str) -> str:
        return "/".join([self._root.rstrip("/"), *(part for part in parts if part != ".")])


def _local(folder: Path) -> list[str]:
    notes = [f"{SHARDS}/{note.name}" for note in (folder / SHARDS).glob("*.json")]
    identity = [IDENTITY] if (folder / IDENTITY).is_file() else []
    return [f"{VALUES}/{name}" for name in value_files(folder)] + notes + identity


def _ordered(names: list[str]) -> list[str]:
    """Values, then their notes, then the identity."""
    rank = {VALUES: 0, SHARDS: 1, IDENTITY: 2}
    return sorted((name for name in names if name.split("/")[0] in rank), key=lambda name: (rank[name.split("/")[0]], name))
