"""Any transformers vision model as an encoder, with the image processor and the pooling of its own files.

The model is a folder as transformers saves and the hub holds it: model.safetensors, config.json, preprocessor_config.json. No
code of the repository is run: only architectures that transformers itself has.
"""

from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor

from datasets.errors import UserError
from datasets.manifest import sha256_file
from pipeline.encoders.base import Frames, PublishedEncoder
from pipeline.encoders.entry import EncoderInfo, Preprocess, Source
from pipeline.encoders.networks.network import Features, Network
from pipeline.encoders.preprocess import check_frames
from pipeline.encoders.torchvision_ops import import_torchvision
from pipeline.encoders.weights import find_file

WEIGHTS, CONFIGS = "model.safetensors", ("config.json", "preprocessor_config.json")


def transformers_files(name: str, repository: str, weights: Path | None) -> list[Path]:
    """model.safetensors (`weights`, or the hub's) and the two configurations beside it.

    Raises:
        UserError: one of them is missing, and cannot be had from the hub.
    """
    info = EncoderInfo(name, None, repository, "custom", "custom", licence="see its page", made_here=False)
    page = f"{repository} on the Hugging Face hub"
    if weights is None:
        return [find_file(info, Source(file, page, hub=repository, hub_file=file), None) for file in (WEIGHTS, *CONFIGS)]
    found = [find_file(info, Source(WEIGHTS, page), weights), *(weights.parent / file for file in CONFIGS)]
    for file in found[1:]:
        if not file.is_file():
            raise UserError(f"custom.{name}: {file} is missing; transformers' {WEIGHTS} needs it beside it, from {page}")
    if weights.name != WEIGHTS:
        raise UserError(f"custom.{name}: {weights} has to be called {WEIGHTS}, as transformers saves it")
    return found


def load_transformers(
    name: str, repository: str, layer: int | None, pooling: str | None, weights: Path | None, device: str
) -> "TransformersEncoder":
    """A transformers vision model, or the vision part of an image-text model.

    Raises:
        UserError: files that are missing, damaged or do not belong together; no such layer or pooling.
    """
    files = transformers_files(name, repository, weights)
    loaded = _load(name, files[0].parent, layer)
    return TransformersEncoder(name, loaded, files, device, layer, pooling)


class _Loaded(NamedTuple):
    model: Any
    processor: Any
    pooled: bool  # whether the files hold a trained pooler
    depth: int


def _load(name: str, folder: Path, layer: int | None) -> _Loaded:
    import_torchvision()
    import transformers
    from transformers import AutoConfig, AutoImageProcessor, AutoModel
    from transformers.utils.logging import disable_progress_bar, set_verbosity_error

    disable_progress_bar()
    set_verbosity_error()  # its report of what was loaded; what matters of it is checked below
    how: dict[str, Any] = {"local_files_only": True, "trust_remote_code": False}
    try:
        config = AutoConfig.from_pretrained(folder, **how)
        vision = getattr(config, "vision_config", config)
        depth = getattr(vision, "num_hidden_layers", 0)
        if layer is not None and 1 <= layer <= depth:
            vision.num_hidden_layers = layer  # the blocks above are not even loaded
        processor = AutoImageProcessor.from_pretrained(folder, backend="pil", **how)
        model, report = AutoModel.from_pretrained(
            folder, config=config, dtype=torch.float32, use_safetensors=True, output_loading_info=True, **how
        )
    except Exception as error:  # transformers and safetensors raise many kinds for damaged or foreign files
        reason = (str(error).strip().splitlines() or [type(error).__name__])[0][:160]
        raise UserError(
            f"custom.{name}: {folder} is no vision model that transformers {transformers.__version__} reads: {reason}"
        ) from None
    missing = sorted(key for key in report["missing_keys"] if "pooler." not in key)
    if missing or report["mismatched_keys"]:
        key = (missing or sorted(map(str, report["mismatched_keys"])))[0]
        raise UserError(
            f"custom.{name}: {folder / WEIGHTS} is not the model of its config.json: {key} is missing or of another shape"
        )
    return _Loaded(model, processor, not report["missing_keys"], depth)


class _Vision(Network):
    """pixels [N, 3, H, W] -> its own pooled vector (projected where an image-text model projects it), and its patch tokens.

    Where the files hold no trained pooler the vector is the class token, or the tokens' mean where there is none.
    """

    def __init__(self, loaded: _Loaded) -> None:
        super().__init__()
        self.whole = loaded.model if hasattr(loaded.model, "get_image_features") else None
        self.vision: Any = loaded.model.vision_model if self.whole is not None else loaded.model
        self.depth, self.pooled, self.pooling = loaded.depth, loaded.pooled, ""
        self.patch = getattr(self.vision.config, "patch_size", None)
        self.poolings = ("cls", "mean")

    def configure(self, layer: int | None, pooling: str | None) -> None:
        super().configure(layer, pooling)
        if layer is not None:
            self.whole = None  # a projection trained on the last block
        self.pooling = pooling or ""

    def forward(self, pixels: Tensor) -> Features:
        out = self.vision(pixel_values=pixels)
        hidden: Tensor = out.last_hidden_state
        if hidden.ndim == 4:  # a convolutional network: (N, D, h, w)
            tokens: Tensor | None = hidden.permute(0, 2, 3, 1)
            prefix = 0
        else:  # (N, prefix + h * w, D)
            tokens, prefix = self._grid(hidden, pixels.shape)
        pooled = getattr(out, "pooler_output", None)
        if self.pooling == "cls" or (not self.pooling and (pooled is None or not self.pooled) and prefix):
            if not prefix:
                raise UserError(f"pooling 'cls': {type(self.vision).__name__} has no class token")
            return hidden[:, 0], tokens
        if self.pooling == "mean" or pooled is None or not self.pooled:
            flat = hidden.flatten(2).transpose(1, 2) if hidden.ndim == 4 else hidden[:, prefix:]
            return flat.mean(1), tokens
        if self.whole is not None:
            features = self.whole.get_image_features(pixel_values=pixels)
            pooled = features if isinstance(features, Tensor) else features.pooler_output
        return pooled.flatten(1), tokens

    def _grid(self, hidden: Tensor, shape: torch.Size) -> tuple[Tensor | None, int]:
        """Patch tokens [N, h, w, D] and the number of tokens before them; (None, 1 or 0) where there is no square grid."""
        patch = self.patch if isinstance(self.patch, int) else (self.patch[0] if self.patch else 0)
        if not patch:
            return None, 0
        rows, columns = shape[-2] // patch, shape[-1] // patch
        prefix = hidden.shape[1] - rows * columns
        if prefix < 0:
            return None, 0
        return hidden[:, prefix:].unflatten(1, (rows, columns)), prefix


class TransformersEncoder(PublishedEncoder):
    """A transformers model behind its own image processor (Pillow's kind, on every device)."""

    def __init__(
        self, name: str, loaded: _Loaded, files: list[Path], device: str, layer: int | None, pooling: str | None
    ) -> None:
        self._processor = loaded.processor
        probe = self._processor(images=[np.zeros((64, 64, 3), np.uint8)], return_tensors="pt")["pixel_values"]
        super().__init__(name, 0, _Vision(loaded), Preprocess(resize=probe.shape[-1]), device, layer, pooling)
        self.dim = self.embed(np.zeros((1, 64, 64, 3), np.uint8)).shape[-1]
        digests = ", ".join(f"{file.name} {sha256_file(file)[:16]}" for file in files[1:])
        self.preprocessing = f"transformers {type(self._processor).__name__} ({digests})"

    def pixels(self, frames: Frames) -> Tensor:
        check_frames(frames)
        held = np.asarray(frames.cpu() if isinstance(frames, Tensor) else frames)
        return self._processor(images=list(held), return_tensors="pt")["pixel_values"].to(self.device)
