"""Upstream's own weight files, read without executing what they hold: torch zip and legacy files, TorchScript, safetensors."""

import argparse
import warnings
import zipfile
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from datasets.errors import UserError
from pipeline.encoders.entry import State

_PAGE = (b"<!do", b"<htm", b"<HTM", b"<!DO", b"<?xm")


def _kind(path: Path) -> str:
    """safetensors, torchscript, torch, or page (HTML saved under a weight file's name)."""
    with open(path, "rb") as file:
        head = file.read(9)
    if head[:4] in _PAGE:
        return "page"
    if len(head) == 9 and head[8:] == b"{" and int.from_bytes(head[:8], "little") < 100_000_000:
        return "safetensors"
    if zipfile.is_zipfile(path):
        with zipfile.ZipFile(path) as archive:
            if any(name.endswith("/constants.pkl") for name in archive.namelist()):
                return "torchscript"
    return "torch"


def read_container(path: Path) -> Any:
    """Whatever a weight file holds, tensors on the CPU.

    Raises:
        UserError: missing, truncated, a web page, another format, or a pickle that would execute code (it is not).
    """
    if not path.is_file():
        raise UserError(f"{path}: no such weights file")
    kind = _kind(path)
    if kind == "page":
        raise UserError(
            f"{path}: expected a checkpoint, found a web page (a download that wanted a login?); fetch the file itself"
        )
    try:
        if kind == "safetensors":
            from safetensors.torch import load_file

            return load_file(path)
        if kind == "torchscript":
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")  # TorchScript is deprecated, these archives stay
                return torch.jit.load(path, map_location="cpu").state_dict()
        with torch.serialization.safe_globals([argparse.Namespace]):  # the settings many trainers save beside the weights
            return torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:  # torch and safetensors raise many kinds for a damaged file
        if "Unsupported global" in str(error) or "Unsupported operand" in str(error) or "Unsupported class" in str(error):
            found = "a pickle that runs code when it is read; nothing was executed (`python -m pipeline.encoders.convert` "
            found += "keeps its tensors only)"
        else:
            found = f"a truncated or damaged {kind} file ({(str(error).strip().splitlines() or [type(error).__name__])[0][:100]})"
        raise UserError(f"{path}: expected a checkpoint, found {found}") from None


def unwrap(held: Any, wrap: tuple[str, ...], bare: bool, path: Path) -> State:
    """The state dict of what a file holds, float tensors as float32; see `Source.wrap` and `Source.bare`.

    Raises:
        UserError: there is no state dict there.
    """
    if isinstance(held, tuple | list) and held:
        held = held[0]
    inside = next((held[key] for key in wrap if isinstance(held, dict) and isinstance(held.get(key), dict)), None)
    chosen = inside if wrap and (inside is not None or not bare) else held
    state = {key: value for key, value in chosen.items() if isinstance(value, Tensor)} if isinstance(chosen, dict) else {}
    if not state:
        found = f"keys {', '.join(map(str, list(held)[:4]))}" if isinstance(held, dict) else type(held).__name__
        raise UserError(f"{path}: expected a state dict{' under ' + ' or '.join(map(repr, wrap)) if wrap else ''}, found {found}")
    return {key: value.float() if value.is_floating_point() else value for key, value in state.items()}


def load_strictly(module: torch.nn.Module, state: State, path: Path, name: str) -> None:
    """Give `module` exactly the tensors of `state` (its own may be on the meta device).

    Raises:
        UserError: tensors are missing, left over or of another shape, with what was expected and what was found.
    """
    expected = {key: list(value.shape) for key, value in module.state_dict().items()}
    found = {key: list(value.shape) for key, value in state.items()}
    problems = []
    if wrong := [key for key in expected if key in found and expected[key] != found[key]]:
        key = wrong[0]
        problems.append(f"{len(wrong)} of another shape ({key}: expected {expected[key]}, found {found[key]})")
    if missing := [key for key in expected if key not in found and not key.endswith("num_batches_tracked")]:
        problems.append(f"{len(missing)} of {len(expected)} missing (expected {missing[0]} {expected[missing[0]]})")
    if extra := [key for key in found if key not in expected]:
        problems.append(f"{len(extra)} that do not belong (found {extra[0]} {found[extra[0]]})")
    if problems:
        raise UserError(f"{path}: not the weights of {name}: tensors " + "; ".join(problems))
    for key in expected.keys() - found.keys():
        state[key] = torch.zeros((), dtype=torch.int64)  # a batch norm's counter, used in training only
    module.load_state_dict(state, assign=True)
