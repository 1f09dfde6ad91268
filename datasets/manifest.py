"""`manifest.json`: what a published folder holds, with sizes and checksums, so that a reader can trust it.

A folder is written under a temporary name, described by its manifest, and only then renamed into place; a reader calls
`verify` once before it uses any of the files.
"""

import hashlib
import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from datasets.errors import DataError

NAME = "manifest.json"
_BLOCK = 1 << 20


def sha256_file(path: Path) -> str:
    """Hex sha256 of a file's bytes."""
    digest = hashlib.sha256()
    with open(path, "rb") as file:
        while block := file.read(_BLOCK):
            digest.update(block)
    return digest.hexdigest()


def digest_of(value: Any) -> str:
    """Hex sha256 of a JSON-able value in canonical form (sorted keys, no spaces)."""
    return hashlib.sha256(json.dumps(value, sort_keys=True, separators=(",", ":")).encode()).hexdigest()


def write_json(path: Path, value: Any) -> None:
    """Write JSON under a temporary name, then rename: a reader never sees half of it."""
    temporary = _temporary(path)
    with open(temporary, "w") as file:
        file.write(json.dumps(value, indent=1, sort_keys=True) + "\n")
        file.flush()
        os.fsync(file.fileno())
    os.replace(temporary, path)


def _temporary(path: Path) -> Path:
    return path.with_name(path.name + ".tmp")


def write_manifest(folder: Path, meta: Mapping[str, Any] | None = None) -> dict[str, Any]:
    """Describe every file below `folder` (sizes, sha256) and `meta` in `folder/manifest.json`; returns the manifest."""
    _temporary(folder / NAME).unlink(missing_ok=True)  # of a process that was killed here
    files = {}
    for path in sorted(p for p in folder.rglob("*") if p.is_file()):
        name = path.relative_to(folder).as_posix()
        if name != NAME:
            files[name] = {"bytes": path.stat().st_size, "sha256": sha256_file(path)}
    manifest = {"files": files, "meta": dict(meta or {})}
    write_json(folder / NAME, manifest)
    return manifest


def read_manifest(folder: Path) -> dict[str, Any]:
    """The manifest of a published folder, unverified.

    Raises:
        DataError: the folder or its manifest is missing or unreadable.
    """
    path = folder / NAME
    if not folder.is_dir():
        raise DataError(f"{folder} is missing; `dvc repro` (or `dvc checkout`) makes it")
    try:
        manifest = json.loads(path.read_text())
        dict(manifest["meta"])
        for entry in manifest["files"].values():
            int(entry["bytes"]), str(entry["sha256"])
    except FileNotFoundError:
        raise DataError(f"{folder} has no {NAME}, so it is not a finished output; run its stage again") from None
    except (ValueError, KeyError, TypeError, AttributeError):
        raise DataError(f"{path} is damaged; remove {folder} and run its stage again") from None
    return manifest


def digest(folder: Path) -> str:
    """What identifies a published folder's content: sha256 over the names and checksums of its files."""
    return digest_of(read_manifest(folder)["files"])


def verify(folder: Path, only: str | tuple[str, ...] = "") -> dict[str, Any]:
    """Check every file of a published folder (those whose name starts with `only`, or with one of them) against its manifest.

    Returns:
        The manifest.

    Raises:
        DataError: names the first file that is missing, truncated or altered.
    """
    manifest = read_manifest(folder)
    remedy = "remove it, then `dvc checkout` it or run its stage again"
    for name, entry in manifest["files"].items():
        if not name.startswith(only):
            continue
        path = folder / name
        if not path.is_file():
            raise DataError(f"{path} is missing, though {folder / NAME} lists it; {remedy}")
        size = path.stat().st_size
        if size != entry["bytes"]:
            raise DataError(f"{path} is truncated: {size} bytes, {entry['bytes']} expected; {remedy}")
        if sha256_file(path) != entry["sha256"]:
            raise DataError(f"{path} is corrupt: its sha256 is not the one in {NAME}; {remedy}")
    return manifest
