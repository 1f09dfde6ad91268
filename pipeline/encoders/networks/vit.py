"""timm's vision transformers, with the authors' choice of token, norm and head."""

from typing import Any, Literal

import torch
from torch import Tensor, nn

from datasets.errors import UserError
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

    def keep_hidden(self, block: int) -> bool:
        if not 1 <= block <= len(self.vit.blocks):
            raise UserError(f"block {block}: expected 1 to {len(self.vit.blocks)}")
        self.vit.blocks[block - 1].register_forward_hook(self._hold)
        return True

    def _hold(self, block: nn.Module, inputs: Any, output: Tensor) -> None:
        self.hidden = output

    def forward(self, pixels: Tensor) -> Features:
        raw = self.vit.forward_features(pixels)  # (N, prefix + h * w, D), before the last norm
        patch = self.vit.patch_embed.patch_size
        return self.read(raw, (pixels.shape[-2] // patch[0], pixels.shape[-1] // patch[1]))

    def read(self, raw: Tensor, grid: tuple[int, int]) -> Features:
        """The vector and the spatial tokens [N, *grid, D], from what the last block gave [N, prefix + h * w, D]."""
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
        return vector, (tokens if self.normed else raw)[:, prefix:].unflatten(1, grid)

    def upper(self, block: int) -> "UpperBlocks":
        """The network from the tokens after block `block` on; it takes this one's modules, which is then of no more use.

        Raises:
            UserError: it has fewer blocks, or blocks of a kind that cannot be run alone.
        """
        if not 1 <= block < len(self.vit.blocks):
            raise UserError(f"block {block}: expected 1 to {len(self.vit.blocks) - 1}, so that one is left above it")
        return UpperBlocks(self, block)


class UpperBlocks(nn.Module):
    """The blocks of a ViT above one of them, its last norm and its pooling, free to be trained."""

    def __init__(self, network: Vit, block: int) -> None:
        from timm.models.eva import Eva
        from timm.models.vision_transformer import VisionTransformer

        super().__init__()
        if not isinstance(network.vit, VisionTransformer | Eva):
            raise UserError(f"the blocks of a {type(network.vit).__name__} cannot be run from the middle")
        body: Any = network.vit
        self.grid: tuple[int, int] = tuple(body.patch_embed.grid_size)
        self.rope: Tensor | None
        self.register_buffer("rope", _rope(body, self.grid, block), persistent=False)
        body.blocks = body.blocks[block:]
        for name in ("patch_embed", "pos_embed", "cls_token", "reg_token"):
            setattr(body, name, None)
        self.network = network.requires_grad_(True)

    def forward(self, hidden: Tensor) -> Features:
        """float32 [N, tokens, D] after the block -> (vector [N, dim], tokens [N, h, w, D])."""
        for number, block in enumerate(self.network.vit.blocks):
            hidden = block(hidden) if self.rope is None else block(hidden, rope=self.rope[number])
        return self.network.read(hidden, self.grid)


@torch.no_grad()
def _rope(body: Any, grid: tuple[int, int], block: int) -> Tensor | None:
    """Rotary positions of each of the upper blocks (Eva's), which `forward_features` hands them."""
    if not hasattr(body, "rope") or body.rope is None:
        return None
    shape = grid if body.dynamic_img_size else (grid[0] * grid[1],)
    _, rope = body._pos_embed(torch.zeros(1, *shape, body.embed_dim, device=next(body.parameters()).device))
    return rope[block:] if body.rope_mixed else rope.expand(len(body.blocks) - block, *rope.shape)


def resize_positions(embed: Tensor, grid: int, prefix: int = 1, **interpolate: Any) -> Tensor:
    """Resample the square part of a position embedding [1, prefix + n * n, D] to [1, prefix + grid * grid, D]."""
    side = round((embed.shape[1] - prefix) ** 0.5)
    square = embed[:, prefix:].reshape(1, side, side, -1).permute(0, 3, 1, 2)  # (1, D, n, n)
    square = nn.functional.interpolate(square, **interpolate)
    return torch.cat([embed[:, :prefix], square.permute(0, 2, 3, 1).reshape(1, grid * grid, -1)], dim=1)
