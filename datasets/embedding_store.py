"""Embeddings by what made them: one folder per (frames, encoder, weights, layer, pooling, preprocessing, dtype, ...).

    STORE/embeddings/ID/identity.json     everything that the values depend on; ID is its digest
    STORE/embeddings/ID/values.zarr       a Zarr group of one array, as `datasets.embeddings` describes it
    STORE/embeddings/ID/shards/N.json     written after shard N is on the disk: its bytes and sha256
    STORE/embeddings/ID/used/*.json       outputs that hold these values

What is there is never computed again; another ingredient is another folder. A shard counts only if its bytes are those noted.
"""

import json
import os
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from datasets.embedding_shards import ARRAY, EmbeddingWriter, Layout
from datasets.errors import DataError
from datasets.manifest import digest_of, read_manifest, sha256_file, write_json

VALUES, SHARDS, USED, IDENTITY = "values.zarr", "shards", "used", "identity.json"


class Entry:
    """One array of one look by one encoder, as far as it has been computed.

    Attributes:
        id: digest of the identity. folder: where it lies. attributes: of the Zarr group.
    """

    def __init__(self, root: Path, layout: Layout, attributes: dict[str, Any], identity: dict[str, Any]) -> None:
        """
        Args:
            root: the store's folder of embeddings.
            layout: of the array.
            attributes: of the group; all but `torch` are part of the identity.
            identity: what the values depend on besides.
        """
        known = {key: value for key, value in attributes.items() if key != "torch"}
        self._identity = {**identity, "layout": layout._asdict(), "attributes": known}
        self.id = digest_of(self._identity)[:32]
        self.folder, self.layout, self.attributes = root / self.id, layout, attributes

    def check(self, wanted: list[int]) -> tuple[list[int], list[Path]]:
        """Which of the `wanted` shards still have to be written, and which files among them are no longer what was written."""
        missing, damaged = [], []
        for index in wanted:
            noted = self._note(index)
            if not noted.is_file() or not (self.folder / IDENTITY).is_file():
                missing.append(index)
            elif not _is_whole(self._file(index), noted):
                missing.append(index)
                damaged.append(self._file(index))
        return missing, damaged

    def begin(self) -> None:
        """Make the folder, where it is not there. One process does, before others write shards into it."""
        (self.folder / SHARDS).mkdir(parents=True, exist_ok=True)
        self.writer()
        if not (self.folder / IDENTITY).is_file():
            write_json(self.folder / IDENTITY, self._identity)

    def writer(self) -> EmbeddingWriter:
        """Writes shards of this entry."""
        return EmbeddingWriter(self.folder / VALUES, self.layout, self.attributes)

    def write(self, writer: EmbeddingWriter, index: int, values: Any) -> None:
        """Write shard `index` and, once it is on the disk, note its checksum."""
        file = writer.file(index)
        self._note(index).unlink(missing_ok=True)
        file.unlink(missing_ok=True)  # a link of it elsewhere keeps what it holds
        writer.write(index, values)
        write_json(self._note(index), {"bytes": file.stat().st_size, "sha256": sha256_file(file)})

    def publish(self, target: Path, out: Path) -> None:
        """Give `target` (a folder LOOK.zarr of the output `out`) these values: by hard links, or copied where that cannot be.

        The group's own metadata are those of `embedding`, whatever lies beside it.
        """
        source = self.folder / VALUES
        for name in value_files(self.folder):
            if name == "zarr.json" and self.layout.array != ARRAY:
                continue
            file, linked = source / name, target / name
            linked.parent.mkdir(parents=True, exist_ok=True)
            try:
                os.link(file, linked)
            except OSError:
                shutil.copyfile(file, linked)
        (self.folder / USED).mkdir(exist_ok=True)
        write_json(self.folder / USED / f"{digest_of(str(out.resolve()))[:24]}.json", {"out": str(out.resolve())})

    def _file(self, index: int) -> Path:
        return self.folder / VALUES / self.layout.file(index)

    def _note(self, index: int) -> Path:
        return self.folder / SHARDS / f"{index}.json"


def value_files(folder: Path) -> list[str]:
    """Names below VALUES of what counts of an entry: the metadata and the shards that are noted, sorted.

    Whatever else lies there is what a killed writer left.
    """
    noted = {note.stem for note in (folder / SHARDS).glob("*.json")}
    found = []
    for file in (folder / VALUES).rglob("*"):
        parts = file.relative_to(folder / VALUES).parts
        if parts[-1] == "zarr.json" or (file.is_file() and _number(parts) in noted):
            found.append("/".join(parts))
    return sorted(found)


def _number(parts: tuple[str, ...]) -> str | None:
    """Which shard a file (array, "c", number, "0", ...) is, as text; None where it is no shard."""
    return parts[2] if len(parts) > 2 and parts[1] == "c" and set(parts[3:]) <= {"0"} else None


def shard_file(folder: Path, number: str) -> Path | None:
    """The file of an entry's shard."""
    values = folder / VALUES
    found = [*values.glob(f"*/c/{number}"), *values.glob(f"*/c/{number}/**/0")]
    return next((file for file in found if file.is_file()), None)


def _is_whole(file: Path, noted: Path) -> bool:
    try:
        note = json.loads(noted.read_text())
        return bool(file.stat().st_size == note["bytes"] and sha256_file(file) == note["sha256"])
    except (OSError, ValueError, KeyError):
        return False


def stored_entries(root: Path) -> Iterator[tuple[Path, dict[str, Any], int, bool]]:
    """(folder, identity, bytes on disk, whether an output still holds it) of every entry of a store, by folder name."""
    for folder in sorted(path for path in root.glob("[!.]*") if path.is_dir()):
        size = sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())
        try:
            identity = json.loads((folder / IDENTITY).read_text())
        except (OSError, ValueError):
            identity = {}
        yield folder, identity, size, any(_holds(note, folder.name) for note in (folder / USED).glob("*.json"))


def _holds(note: Path, entry: str) -> bool:
    try:
        meta = read_manifest(Path(json.loads(note.read_text())["out"]))["meta"]
    except (OSError, ValueError, KeyError, DataError):
        return False
    return entry in meta.get("entries", {}).values()
