"""Where an experiment's files lie: the workspace, a folder, or a revision, of which nothing is checked out."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from datasets.errors import DataError, UserError

WORKSPACE = "workspace"


@dataclass(frozen=True)
class Source:
    """One experiment.

    Attributes:
        name: as the user gave it.
        find: pattern, relative to the experiment's project -> files on this machine, sorted by their names there. It raises
            `DataError` where one of them is not here.
        params: its params.yaml, as text; None where it has none.
        revision: the commit, of one that has one.
    """

    name: str
    find: Callable[[str], list[Path]]
    params: str | None
    revision: str | None = None

    def tables(self, table: str) -> tuple[list[Path], str]:
        """The files that make up one table, and what has to be said of them.

        A run that stopped before its report has left parts of some tables; then these are read.
        """
        if whole := self.find(f"results/{table}.parquet"):
            return whole, ""
        folder = {"reward_error": "parts", "learning": "parts", "online": "online"}.get(table)
        parts = self.find(f"results/{folder}/*/*/*/{table}.parquet") if folder else []
        absent = f"{self.name} has no results/{table}.parquet"
        if parts:
            return parts, f"{absent} (its run did not get as far as the report): {len(parts)} parts in results/{folder} are read."
        return [], f"{absent}: it is left out of this table."


def resolve(name: str, root: Path) -> Source:
    """The experiment that `name` stands for.

    Args:
        name: `workspace`; a folder that holds `results/`; or what Git or DVC know: a commit, branch, tag, or experiment.
        root: the project; folders are relative to it.

    Raises:
        UserError: it stands for nothing.
    """
    folder = root if name == WORKSPACE else root / name
    if name == WORKSPACE or (folder / "results").is_dir():
        params = folder / "params.yaml"
        found = lambda pattern: sorted(path for path in folder.glob(pattern) if path.is_file())  # noqa: E731
        return Source(name, found, params.read_text(encoding="utf-8") if params.is_file() else None)
    return _revision(name, root, folder.is_dir())


def _revision(name: str, root: Path, is_folder: bool) -> Source:
    from dvc.api import DVCFileSystem
    from dvc.exceptions import DvcException

    try:
        files: Any = DVCFileSystem(str(root), rev=name)
        params = files.read_text("params.yaml") if files.exists("params.yaml") else None
        revision = str(files.repo.get_rev())
    except (DvcException, OSError) as error:
        lacks = "a folder without results/" if is_folder else "neither a folder nor a revision or experiment known here"
        reason = (str(error).splitlines() or [""])[0]
        raise UserError(f"{name} is {lacks} ({reason}); `dvc exp list --all-commits` lists experiments") from None

    def find(pattern: str) -> list[Path]:
        local = [_local(files, path, name) for path in sorted(files.glob(pattern))]
        return [path for path in local if path is not None]

    return Source(name, find, params, revision)


def _local(files: Any, path: str, name: str) -> Path | None:
    """Where the content of a revision's file lies: in DVC's cache, which is read in place; None of an output never made."""
    info = files.info(path)
    digest = info.get("md5")
    if digest is None and info.get("dvc_info"):
        return None
    if digest is None:
        raise DataError(f"{path} of {name} is in Git, not in DVC's cache; results are outputs of stages")
    local = Path(files.repo.cache.local.oid_to_path(digest))
    if not local.is_file():
        raise DataError(f"{path} of {name} is not in DVC's cache on this machine; `dvc fetch` or `dvc exp pull` brings it")
    return local
