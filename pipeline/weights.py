"""Where `pretrain` left a representation's weights: made here, or a file elsewhere whose checksum it noted."""

import json
from pathlib import Path
from typing import Any

from datasets.errors import UserError
from datasets.manifest import sha256_file, verify

WEIGHTS = "weights.pt"
SOURCE = "source.json"


def resolve_weights(encoder: str, task: str) -> tuple[Path | None, str | None]:
    """(checkpoint file, its sha256) of one representation; (None, None) where there is nothing to load.

    Raises:
        DataError: the stage's output is missing, truncated or altered.
        UserError: a file elsewhere is gone, or no longer the one that `pretrain` saw.
    """
    folder = Path("data/weights") / task / encoder
    verify(folder)
    source = json.loads((folder / SOURCE).read_text())
    if source["file"] is None:
        return None, None
    if source["origin"] == "made here":
        return folder / source["file"], source["sha256"]
    file = Path(source["file"])
    if not file.is_file() or sha256_file(file) != source["sha256"]:
        raise UserError(f"weights.{encoder}: {file} is gone or has changed since `pretrain` read it; run pretrain again")
    return file, source["sha256"]


def pretrained_on(encoder: str, task: str) -> dict[str, Any]:
    """`{"pretrained_on": "in_domain" or "other_tasks", "pretrained_tasks": [...]}` where `pretrain` noted it, else empty."""
    source = json.loads((Path("data/weights") / task / encoder / SOURCE).read_text())
    return {key: source[key] for key in ("pretrained_on", "pretrained_tasks") if key in source}
