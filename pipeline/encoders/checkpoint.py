"""Weight files of the encoders made here: written whole or not at all."""

from pathlib import Path

import torch

from datasets.errors import UserError
from pipeline.encoders.containers import read_container

_FORMAT = "encore-encoder-1"


def save_weights(path: Path, name: str, config: dict[str, int], state: dict[str, torch.Tensor]) -> None:
    """Write an in-domain encoder's checkpoint under a temporary name, then rename it."""
    temporary = path.with_name(path.name + ".tmp")
    torch.save({"format": _FORMAT, "name": name, "config": config, "state_dict": state}, temporary)
    temporary.replace(path)


def load_weights(path: Path, name: str) -> tuple[dict[str, int], dict[str, torch.Tensor]]:
    """(config, state_dict) of a checkpoint that `save_weights` wrote for encoder `name`.

    Raises:
        UserError: names the file, what was expected and what was found.
    """
    checkpoint = read_container(path)
    if not isinstance(checkpoint, dict) or checkpoint.get("format") != _FORMAT:
        raise UserError(f"{path}: expected weights that `pretrain` made for {name!r}, found another kind of checkpoint")
    if checkpoint["name"] != name:
        raise UserError(f"{path}: expected weights of {name!r}, found those of {checkpoint['name']!r}")
    return checkpoint["config"], checkpoint["state_dict"]


def load_into(network: torch.nn.Module, state: dict[str, torch.Tensor], path: Path) -> None:
    """Load a state dict strictly.

    Raises:
        UserError: missing, unexpected or wrongly shaped tensors.
    """
    try:
        network.load_state_dict(state)
    except RuntimeError as error:
        raise UserError(f"{path}: {' '.join(str(error).split())[:300]}") from None
