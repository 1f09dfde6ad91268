"""The registry of representations: `list_encoders()` and `load_encoder(name)`.

Importing this package loads no torch; `load_encoder` does.
"""

from pathlib import Path
from typing import TYPE_CHECKING

from pipeline.encoders.registry import EncoderInfo, canonical, info_of, list_encoders, selectable_names

if TYPE_CHECKING:
    from pipeline.encoders.base import Encoder
    from pipeline.encoders.networks.vit import UpperBlocks

__all__ = ["EncoderInfo", "canonical", "info_of", "list_encoders", "load_encoder", "load_upper", "selectable_names"]


def load_encoder(name: str, weights: str | Path | None = None, device: str = "cpu") -> "Encoder":
    """A frozen encoder by canonical name or alias.

    Args:
        name: see `list_encoders()`.
        weights: a checkpoint file; None: the encoder's own default (its hub or cache, or nothing to load).
        device: where it runs and where its embeddings are.

    Raises:
        UserError: unknown name; a name that is no frozen encoder (`scratch`); wrong, missing or truncated weights.
    """
    from pipeline.encoders.loaders import load

    return load(name, None if weights is None else Path(weights), device)


def load_upper(name: str, block: int, weights: str | Path | None = None, device: str = "cpu") -> "UpperBlocks":
    """A ViT from the tokens after block `block` on, free to be fine-tuned on the `hidden` tokens that `encode` stored.

    Args:
        name, weights, device: as of `load_encoder`.
        block: counted from 1: what `encode.tokens.after_block` was.

    Returns:
        A module: float32 [N, tokens, D] -> (vector [N, dim], tokens [N, h, w, D]).

    Raises:
        UserError: as `load_encoder`; or the encoder is no ViT with blocks above that one.
    """
    from pipeline.encoders.loaders import load_upper as load

    return load(name, block, None if weights is None else Path(weights), device)
