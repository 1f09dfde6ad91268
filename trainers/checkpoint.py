"""Checkpoints: written whole or not at all, read without unpickling code, refused in one line if not what was asked for."""

import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO

import torch

from datasets.errors import DataError
from trainers.algorithms import algorithm
from trainers.models import Model

_KEYS = {"config", "weights", "meta"}


@dataclass(frozen=True)
class Loaded:
    """A trained model and where it comes from.

    Attributes:
        model: in evaluation mode, on the device asked for.
        meta: encoder (canonical), task, algorithm, seed, updates, embedding (facts about what it was trained on).
    """

    model: Model
    meta: dict[str, Any]


def save_torch(path: Path, content: Mapping[str, Any]) -> None:
    """Write tensors and plain values under a temporary name, then rename: a reader never sees half of a file.

    Raises:
        OSError: it cannot be written (the disk is full).
    """
    temporary = path.with_name(path.name + ".tmp")
    with open(temporary, "wb") as file:
        noted = _Noting(file)
        try:
            torch.save(dict(content), noted)  # type: ignore[arg-type]  # all that it asks for is there
        except RuntimeError:
            if noted.error is not None:
                raise OSError(noted.error.errno, noted.error.strerror, str(path)) from None
            raise
        file.flush()
        os.fsync(file.fileno())
    os.replace(temporary, path)


class _Noting:
    """A file that remembers why it could not be written: torch says only that its writer failed."""

    def __init__(self, file: BinaryIO) -> None:
        self._file = file
        self.error: OSError | None = None

    def write(self, data: Any) -> int:
        try:
            return self._file.write(data)
        except OSError as error:
            self.error = error
            raise

    def flush(self) -> None:
        self._file.flush()


def load_torch(path: Path, what: str, device: str = "cpu") -> dict[str, Any]:
    """Read what `save_torch` wrote.

    Raises:
        DataError: missing, truncated, or not a file of tensors and plain values.
    """
    try:
        content = torch.load(path, map_location=device, weights_only=True)
    except FileNotFoundError:
        raise DataError(f"{path} is missing: {what} was not made; run `dvc repro`") from None
    except Exception as error:  # torch raises many kinds for a damaged or foreign file
        raise DataError(f"{path} is no {what}, or damaged ({_first_line(error)}); remove it and run its stage again") from None
    if not isinstance(content, dict):
        raise DataError(f"{path} is no {what}: it holds a {type(content).__name__}; remove it and run its stage again")
    return content


def save_world_model(path: Path, model: Model, meta: Mapping[str, Any]) -> None:
    """Write a trained model with its configuration and its origin."""
    weights = {name: value.detach().cpu() for name, value in model.state_dict().items()}
    save_torch(path, {"config": model.config.to_json(), "weights": weights, "meta": dict(meta)})


def load_world_model(path: Path, device: str = "cpu", **expected: str | int) -> Loaded:
    """Read a trained model.

    Args:
        path: `models/TASK/ENCODER/ALGORITHM/seed-S/model.pt`.
        device: cpu or cuda.
        expected: values that `meta` must have, such as `encoder="state"`, `task="cartpole_swingup"`.

    Raises:
        DataError: missing, truncated, not a world model of this project, or not the one expected.
    """
    content = load_torch(path, "world-model checkpoint", device)
    remedy = "remove it and run train again"
    if missing := _KEYS - content.keys():
        raise DataError(f"{path} is no world-model checkpoint: it lacks {', '.join(sorted(missing))}; {remedy}")
    meta = content["meta"]
    for key, value in expected.items():
        if meta.get(key) != value:
            raise DataError(f"{path} was trained for {key} {meta.get(key)!r}, {value!r} was expected; {remedy}")
    try:
        kind = algorithm(meta["algorithm"])
        config = kind.parse(content["config"])
        with torch.device(device):
            model = kind.build(config)
        model.load_state_dict(content["weights"])
    except (KeyError, TypeError, ValueError, RuntimeError, AttributeError) as error:
        raise DataError(f"{path}: its weights do not fit its configuration ({_first_line(error)}); {remedy}") from None
    return Loaded(model.eval(), meta)


def _first_line(error: Exception) -> str:
    lines = str(error).strip().splitlines()
    return lines[0][:200] if lines else type(error).__name__
