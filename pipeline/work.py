"""Where a stage works until it is done: a locked folder outside the project tree, then one rename into place.

A stage can be killed at any point. What it has finished so far lies in `$ENCORE_STORE/work/STAGE/KEY` (KEY is the digest of
all that the result depends on), so the same command goes on from there; the output appears whole or not at all. Two
locks keep a second writer out when DVC was killed and its child lives on: one for the output path, one for the work folder.
"""

import configparser
import errno
import json
import os
import shutil
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from filelock import FileLock, Timeout

from datasets.errors import DataError
from datasets.manifest import digest_of, read_manifest, sha256_file, write_json, write_manifest
from pipeline.log import log


def store() -> Path:
    """`$ENCORE_STORE`, or a folder `encore` beside DVC's cache (which experiments run elsewhere share)."""
    if chosen := os.environ.get("ENCORE_STORE"):
        return Path(chosen).resolve()
    for name in ("config.local", "config"):
        config = configparser.ConfigParser(interpolation=None)
        config.read(Path(".dvc") / name)
        if folder := config.get("cache", "dir", fallback=None):
            return ((Path(".dvc") / folder).resolve()).parent / "encore"
    return Path(".dvc/encore").resolve()


@dataclass(frozen=True)
class Work:
    """A stage's place to work in.

    Attributes:
        folder: survives a kill; partial results that the stage can resume from.
        result: becomes the stage's output when the `with` block ends without an exception.
        meta: what the stage wants to be said in the output's manifest besides.
    """

    folder: Path
    result: Path
    key: str
    meta: dict[str, Any] = field(default_factory=dict)


@contextmanager
def hold(path: Path, what: str) -> Iterator[bool]:
    """Hold an exclusive lock file; yields whether it had to wait for another process."""
    path.parent.mkdir(parents=True, exist_ok=True)
    lock = FileLock(path)
    waited = False
    try:
        lock.acquire(timeout=0)
    except Timeout:
        waited = True
        log(f"waiting: another process (a child that outlived its `dvc repro`?) is writing {what}")
        lock.acquire(poll_interval=0.5)
    try:
        yield waited
    finally:
        lock.release()


def _publish(result: Path, out: Path) -> None:
    """Move a finished folder to its place: copied beside it first where the store is on another file system."""
    with replacing_folder(out) as staged:
        try:
            os.rename(result, staged)
        except OSError as error:
            if error.errno != errno.EXDEV:
                raise
            shutil.copytree(result, staged)  # the original stays whole until the copy is in place


def code_digest(*files: str) -> str:
    """Digest of the source files whose change would change a result (the `.py` dependencies of a stage in dvc.yaml)."""
    root = Path(__file__).resolve().parent.parent
    return digest_of({name: sha256_file(root / name) for name in files})


@contextmanager
def hold_work(stage: str, out: Path, key: Mapping[str, Any]) -> Iterator[Work | None]:
    """A place to work on `out` under lock, with what an earlier, killed process of the same `key` left; nothing is published.

    Args, yields: see `open_work`.
    """
    name = digest_of({"stage": stage, **key})[:24]
    folder = store() / "work" / stage / name
    published = _published(folder)
    out_id = digest_of(str(out.resolve()))[:24]
    with (
        hold(store() / "locks" / f"{out_id}.lock", str(out)) as waited_out,
        hold(folder.with_name(name + ".lock"), f"{folder}") as waited_work,
    ):
        if (waited_out or waited_work) and published.exists() and out.exists() and key_of(out) == name:
            log(f"{out} was finished by the process waited for")
            yield None
            return
        published.unlink(missing_ok=True)
        if folder.exists():
            log(f"resuming {stage} from {folder}")
        result = folder / "result"
        result.mkdir(parents=True, exist_ok=True)
        yield Work(folder, result, name)


def _published(folder: Path) -> Path:
    """The note that says so."""
    return folder.with_name(folder.name + ".published.json")


@contextmanager
def open_work(stage: str, out: Path, key: Mapping[str, Any]) -> Iterator[Work | None]:
    """Work on `out` under lock, resuming what an earlier, killed process of the same `key` left.

    Args:
        stage: the stage's name.
        out: the output folder, published when the block ends well.
        key: JSON-able; everything that the result depends on. It is kept in the output's manifest.

    Yields:
        The place to work in, or None where a process waited for has already published this very result.
    """
    with hold_work(stage, out, key) as work:
        start, cpu = time.time(), time.process_time()
        yield work
        if work is None:
            return
        write_manifest(work.result, {"stage": stage, "key": work.key, "inputs": dict(key), **work.meta})
        _publish(work.result, out)
        write_json(_published(work.folder), {"out": str(out)})
        _record_cost(stage, out, work.key, time.time() - start, time.process_time() - cpu)
        folder = work.folder
        done = folder.with_name(
            folder.name + ".done"
        )  # a kill while it is being deleted must not leave half of it to resume from
        shutil.rmtree(done, ignore_errors=True)
        os.replace(folder, done)
        shutil.rmtree(done)


def key_of(out: Path) -> str | None:
    """Of the work that a published output comes from; None where there is none."""
    with suppress(DataError):
        return read_manifest(out)["meta"].get("key")
    return None


def _record_cost(stage: str, out: Path, key: str, wall_s: float, cpu_s: float) -> None:
    """Note what the stage took; `report` gathers the notes in results/costs.parquet. Never read by anything else."""
    import platform

    row = {
        "stage": stage, "out": str(out), "key": key, "wall_s": round(wall_s, 3), "cpu_s": round(cpu_s, 3),
        "finished": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()), "host": platform.node(),
        "hardware": f"{platform.machine()}, {os.cpu_count()} cores",
    }  # fmt: skip
    write_note("costs", out, row)


def note_file(kind: str, out: Path) -> Path:
    """Where a note about an output lies: beside what stages work on, outside every result."""
    return store() / kind / f"{digest_of(str(out))[:24]}.json"


def write_note(kind: str, out: Path, note: Mapping[str, Any]) -> None:
    """Keep a JSON-able note about an output, in place of an older one."""
    file = note_file(kind, out)
    file.parent.mkdir(parents=True, exist_ok=True)
    write_json(file, note)


def require_space(path: Path, size: int) -> None:
    """That `size` bytes fit beside `path`, before they are written (HDF5 does not survive a full disk).

    Raises:
        OSError: they do not (ENOSPC).
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    if shutil.disk_usage(path.parent).free < size:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), f"{path} ({size / 1e6:.0f} MB)")


@contextmanager
def replacing_folder(out: Path) -> Iterator[Path]:
    """A temporary name beside `out`, of a folder yet to be made, renamed to it when the block ends well."""
    out.parent.mkdir(parents=True, exist_ok=True)
    staged, old = out.with_name(f".{out.name}.new"), out.with_name(f".{out.name}.old")
    for leftover in (staged, old):
        shutil.rmtree(leftover, ignore_errors=True)
    yield staged
    if out.exists():
        os.replace(out, old)
    os.replace(staged, out)
    shutil.rmtree(old, ignore_errors=True)


@contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """A temporary name beside `path`, renamed to it when the block ends well: for outputs that are single files."""
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.name}.new")
    yield temporary
    os.replace(temporary, path)


def costs() -> list[dict[str, Any]]:
    """What the stages took, and left in bytes, whose outputs lie in this project now, sorted by output (not another run's)."""
    rows = []
    for note in sorted((store() / "costs").glob("*.json")):
        row = json.loads(note.read_text())
        if key_of(Path(row["out"])) == row["key"]:
            files = read_manifest(Path(row["out"]))["files"]
            rows.append(row | {"bytes": sum(entry["bytes"] for entry in files.values())})
    return sorted(rows, key=lambda row: row["out"])
