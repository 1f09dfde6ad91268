"""timm's vision transformers, with the authors' choice of token, norm and head."""

from typing import Any, Literal

import torch
from torch import Tensor, nn

from pipeline.encoders.networks.network import Features, Network

Pooling = Literal["cls", "mean", "attention", "summary"]


class Vit(Network):
    """A timm `VisionTransformer` or `Eva`.

    Args:
        pooling: the authors' vector: first token after the last norm, mean of the patch tokens after it, attention pool of
            all of them, or (RADIO) the first `summary` tokens side by side.
        head: whether the authors project the vector (CLIP's `visual.proj`); dropped where the network is cut or pooled otherwise.
        normed: whether the spatial tokens are those after the last norm.
    """

    def __init__(self, body: Any, pooling: Pooling = "cls", head: bool = False, normed: bool = True, summary: int = 1) -> None:
        super().__init__()
        self.vit: Any = body
        self.norm: nn.Module = nn.Identity()
        self.pooling, self.head, self.normed, self.summary = pooling, head, normed, summary
        self.depth = len(self.vit.blocks)
        has_cls = self.vit.cls_token is not None
        self.poolings = (*(("cls",) if has_cls else ()), "mean", *(("attention",) if pooling == "attention" else ()))

    @property
    def body(self) -> nn.Module:
        return self.vit

    def configure(self, layer: int | None, pooling: str | None) -> None:
        super().configure(layer, pooling)
        self.norm, self.vit.norm = self.vit.norm, nn.Identity()
        if layer is not None:
            self.vit.blocks = self.vit.blocks[:layer]
        self.head = self.head and layer is None and pooling in (None, self.pooling)
        self.pooling = pooling or self.pooling  # type: ignore[assignment]

    def forward(self, pixels: Tensor) -> Features:
        raw = self.vit.forward_features(pixels)  # (N, prefix + h * w, D), before the last norm
        tokens = self.norm(raw)
        prefix = self.vit.num_prefix_tokens
        if self.pooling == "cls":
            vector = tokens[:, 0]
        elif self.pooling == "summary":
            vector = tokens[:, : self.summary].flatten(1)
        elif self.pooling == "mean":
            vector = tokens[:, prefix:].mean(1)
        else:
            vector = self.vit.attn_pool(tokens)
        if self.head:
            vector = self.vit.head(vector)
        grid = pixels.shape[-2] // self.vit.patch_embed.patch_size[0], pixels.shape[-1] // self.vit.patch_embed.patch_size[1]
        return vector, (tokens if self.normed else raw)[:, prefix:].unflatten(1, grid)


def resize_positions(embed: Tensor, grid: int, prefix: int = 1, **interpolate: Any) -> Tensor:
    """Resample the square part of a position embedding [1, prefix + n * n, D] to [1, prefix + grid * grid, D]."""
    side = round((embed.shape[1] - prefix) ** 0.5)
    square = embed[:, prefix:].reshape(1, side, side, -1).permute(0, 3, 1, 2)  # (1, D, n, n)
    square = nn.functional.interpolate(square, **interpolate)
    return torch.cat([embed[:, :prefix], square.permute(0, 2, 3, 1).reshape(1, grid * grid, -1)], dim=1)
