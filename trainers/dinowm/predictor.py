"""The transformer: tokens of a few frames in, causal from frame to frame, whole within one (upstream models/vit.py)."""

import torch
import torch.nn.functional as F
from jaxtyping import Bool, Float
from torch import Tensor, nn

from trainers.dinowm.config import Config


class Predictor(nn.Module):
    """[N, H * P, width] -> [N, H * P, width]: the outputs of frame i have seen frames 0 to i."""

    mask: Tensor  # bool [H * P, H * P]

    def __init__(self, config: Config) -> None:
        super().__init__()
        count = config.settings.frames * config.patches
        self.positions = nn.Parameter(torch.randn(1, count, config.width))
        self.blocks = nn.ModuleList(Block(config) for _ in range(config.settings.depth))
        self.norm = nn.LayerNorm(config.width)
        self.register_buffer("mask", causal_mask(config.settings.frames, config.patches), persistent=False)

    def forward(self, tokens: Tensor) -> Tensor:
        count = tokens.shape[1]
        tokens = tokens + self.positions[:, :count]
        for block in self.blocks:
            tokens = block(tokens, self.mask[:count, :count])
        return self.norm(tokens)


def causal_mask(frames: int, patches: int) -> Bool[Tensor, "{frames}*{patches} {frames}*{patches}"]:
    """bool [frames * patches, frames * patches]: whether a token (row) sees another (column)."""
    frame = torch.arange(frames).repeat_interleave(patches)
    return frame[:, None] >= frame[None, :]


class Block(nn.Module):
    """Attention and a two-layer map, each behind a LayerNorm and added to what it reads; no dropout (upstream: 0.1)."""

    def __init__(self, config: Config) -> None:
        super().__init__()
        sizes, width = config.settings, config.width
        inner = sizes.heads * sizes.head_width
        self.heads = sizes.heads
        self.norm, self.qkv = nn.LayerNorm(width), nn.Linear(width, 3 * inner, bias=False)
        self.out = nn.Linear(inner, width)
        self.mlp = nn.Sequential(nn.LayerNorm(width), nn.Linear(width, sizes.mlp), nn.GELU(), nn.Linear(sizes.mlp, width))

    def forward(self, x: Float[Tensor, "N T width"], mask: Bool[Tensor, "T T"]) -> Float[Tensor, "N T width"]:
        parts = self.qkv(self.norm(x)).unflatten(-1, (3, self.heads, -1))  # (N, T, 3, heads, d)
        query, key, value = parts.permute(2, 0, 3, 1, 4)
        with torch.autocast(x.device.type, enabled=False):  # it keeps its own sums; several models' cannot be cast half-way
            seen = F.scaled_dot_product_attention(query, key, value, attn_mask=mask)
        x = x + self.out(seen.transpose(1, 2).flatten(2))
        return x + self.mlp(x)
