"""The registry of representations: `list_encoders()` and `load_encoder(name)`.

Importing this package loads no torch; `load_encoder` does.
"""

from pathlib import Path
from typing import TYPE_CHECKING

from pipeline.encoders.registry import EncoderInfo, canonical, list_encoders, selectable_names

if TYPE_CHECKING:
    from pipeline.encoders.base import Encoder

__all__ = ["EncoderInfo", "canonical", "list_encoders", "load_encoder", "selectable_names"]


def load_encoder(name: str, weights: str | Path | None = None, device: str = "cpu") -> "Encoder":
    """A frozen encoder by canonical name or alias.

    Args:
        name: see `list_encoders()`.
        weights: a checkpoint file; None: the encoder's own default (its hub or cache, or nothing to load).
        device: where it runs and where its embeddings are.

    Raises:
        UserError: unknown name; a name that is no frozen encoder (`state`, `scratch`); wrong, missing or truncated weights.
    """
    from pipeline.encoders.loaders import load

    return load(name, None if weights is None else Path(weights), device)
