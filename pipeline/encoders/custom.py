"""Encoders of your own: another layer or pooling of a registered one, any timm or transformers model, or a Python class.

An entry of `custom:` in params.yaml names its base as one of

    dinov2_vits14                    a registered name
    timm/MODEL.TAG                   a timm model, with the preprocessing and pooling its own configuration states
    transformers/OWNER/REPOSITORY    a transformers vision model, with the image processor and pooling of its own files
    module.path:ClassName            a class: ClassName(weights: Path | None, device: str) with `dim`, `preprocessing` and `embed`
"""

import importlib
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from datasets.errors import UserError
from pipeline.encoders.base import Encoder, Features, FeatureShapes, Frames, shapes_of
from pipeline.encoders.custom_timm import load_timm, timm_file
from pipeline.encoders.custom_transformers import load_transformers, transformers_files
from pipeline.encoders.loaders import published
from pipeline.encoders.registry import TIMM, TRANSFORMERS, entry_of
from pipeline.encoders.weights import find_weights


def custom_files(name: str, base: str, weights: Path | None) -> list[Path]:
    """The files that decide one `custom:` entry's embeddings, its weights first; empty where there are none.

    Raises:
        UserError: a file is missing, and cannot be had from the hub.
    """
    if entry := entry_of(base):
        return [find_weights(entry, weights)]
    if base.startswith(TIMM):
        return [timm_file(name, base.removeprefix(TIMM), weights)]
    if base.startswith(TRANSFORMERS):
        return transformers_files(name, base.removeprefix(TRANSFORMERS), weights)
    return [weights] if weights else []


def load_custom(name: str, base: str, layer: int | None, pooling: str | None, weights: Path | None, device: str) -> Encoder:
    """The encoder of one `custom:` entry; it bears the entry's name.

    Raises:
        UserError: its base cannot be loaded, or has no such layer or pooling.
    """
    encoder: Any
    if entry := entry_of(base):
        encoder = published(entry, weights, device, layer, pooling)
    elif base.startswith(TIMM):
        encoder = load_timm(name, base.removeprefix(TIMM), layer, pooling, weights, device)
    elif base.startswith(TRANSFORMERS):
        encoder = load_transformers(name, base.removeprefix(TRANSFORMERS), layer, pooling, weights, device)
    elif ":" in base:
        encoder = _class(name, base, layer, pooling, weights, device)
    else:
        raise UserError(
            f"custom.{name}: {base!r} is made here and has no layer or pooling to choose; "
            "use a published encoder, timm/MODEL.TAG, transformers/OWNER/REPOSITORY or module:Class"
        )
    encoder.name = name
    return encoder


def _class(name: str, base: str, layer: int | None, pooling: str | None, weights: Path | None, device: str) -> Any:
    module, _, attribute = base.partition(":")
    if layer is not None or pooling is not None:
        raise UserError(f"custom.{name}: layer and pooling are for other bases; {base} decides its own")
    try:
        made = getattr(importlib.import_module(module), attribute)
    except (ImportError, AttributeError) as error:
        raise UserError(f"custom.{name}: {base} cannot be imported from here: {error}") from None
    encoder = made(weights, device)
    for wanted in ("dim", "embed", "preprocessing"):
        if not hasattr(encoder, wanted):
            raise UserError(f"custom.{name}: {base} has no `{wanted}`; see docs/encoders.md")
    return _Own(name, base, encoder, device)


class _Own:
    """A user's class with what else is asked of an encoder; `embed` gets the frames as they are."""

    def __init__(self, name: str, base: str, made: Any, device: str) -> None:
        self.name, self._base, self._made, self.device = name, base, made, torch.device(device)
        self.dim, self.preprocessing = made.dim, made.preprocessing
        self.layer, self.pooling = getattr(made, "layer", None), getattr(made, "pooling", "default")

    def run_as(self, precision: str, compiled: bool) -> None:
        if precision != "fp32" or compiled:
            raise UserError(
                f"custom.{self.name}: {self._base} decides its own precision; set encode.precision: fp32, compile: false"
            )

    def embed(self, frames: Frames) -> Tensor:
        vectors: Tensor = self._made.embed(frames)
        return vectors

    def tokens(self, frames: Frames) -> Tensor:
        if not hasattr(self._made, "tokens"):
            raise UserError(f"{self.name} has no spatial tokens")
        tokens: Tensor = self._made.tokens(frames)
        return tokens

    def pixels(self, frames: Frames) -> Tensor:
        return torch.as_tensor(frames)

    def features(self, pixels: Tensor) -> Features:
        return Features(self.embed(pixels), self.tokens(pixels) if hasattr(self._made, "tokens") else None)

    def feature_shapes(self) -> FeatureShapes:
        return shapes_of(self.features(torch.zeros(1, 64, 64, 3, dtype=torch.uint8)))

    def keep_hidden(self, block: int) -> bool:
        return False

    embed_pixels = embed
