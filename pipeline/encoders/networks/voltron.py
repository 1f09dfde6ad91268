"""Voltron's V-Cond encoder (siddk/voltron-robotics, `vcond.py` and `util/transformer.py`): a ViT that reads a sentence beside
the image.

Blocks have RMSNorm, a SwishGLU and LayerScale. Every image is embedded with the null sentence: one start token, 19 of padding,
whose DistilBERT states are constant, so they are computed once. Upstream's attention mask marks *queries* (it has shape [B, 1,
tokens, 1]), so image tokens do attend to the padding's states, and a padding query attends to everything alike.
"""

from typing import Any

import torch
from torch import Tensor, nn

from pipeline.encoders.networks.network import Features, Network

_WORDS = 20
_START = 101  # [CLS] of distilbert-base-uncased


class _RMSNorm(nn.Module):
    def __init__(self, dim: int) -> None:
        super().__init__()
        self.scale, self.eps = dim**-0.5, 1e-8
        self.g = nn.Parameter(torch.ones(dim))

    def forward(self, x: Tensor) -> Tensor:
        norm = x.norm(dim=-1, keepdim=True) * self.scale
        return x / norm.clamp(min=self.eps) * self.g


class _LayerScale(nn.Module):
    def __init__(self, dim: int) -> None:
        super().__init__()
        self.gamma = nn.Parameter(torch.full((dim,), 0.1))

    def forward(self, x: Tensor) -> Tensor:
        return x * self.gamma


class _SwishGLU(nn.Module):
    def __init__(self, dim: int, hidden: int) -> None:
        super().__init__()
        self.project = nn.Linear(dim, 2 * hidden)

    def forward(self, x: Tensor) -> Tensor:
        value, gate = self.project(x).chunk(2, dim=-1)
        return value * nn.functional.silu(gate)


class _Attention(nn.Module):
    def __init__(self, dim: int, heads: int) -> None:
        super().__init__()
        self.heads = heads
        self.qkv, self.proj = nn.Linear(dim, 3 * dim), nn.Linear(dim, dim)

    def forward(self, x: Tensor, queries: Tensor) -> Tensor:
        q, k, v = self.qkv(x).unflatten(-1, (3, self.heads, -1)).permute(2, 0, 3, 1, 4)  # (B, heads, tokens, d)
        q = q * queries  # a masked query scores every key alike: its softmax is uniform, as upstream's is
        return self.proj(nn.functional.scaled_dot_product_attention(q, k, v).transpose(1, 2).flatten(2))


class _Block(nn.Module):
    def __init__(self, dim: int, heads: int) -> None:
        super().__init__()
        self.pre_norm_attn, self.attn, self.layer_scale_attn = _RMSNorm(dim), _Attention(dim, heads), _LayerScale(dim)
        self.pre_norm_mlp, self.layer_scale_mlp = _RMSNorm(dim), _LayerScale(dim)
        self.mlp = nn.Sequential(_SwishGLU(dim, 4 * dim), nn.Dropout(0.0), nn.Linear(4 * dim, dim))

    def forward(self, x: Tensor, queries: Tensor) -> Tensor:
        x = x + self.layer_scale_attn(self.attn(self.pre_norm_attn(x), queries))
        return x + self.layer_scale_mlp(self.mlp(self.pre_norm_mlp(x)))


class _PatchEmbed(nn.Module):
    def __init__(self, dim: int) -> None:
        super().__init__()
        self.proj = nn.Conv2d(3, dim, 16, stride=16)

    def forward(self, pixels: Tensor) -> Tensor:
        return self.proj(pixels).flatten(2).transpose(1, 2)


class _Parts(nn.Module):
    """The published tensors that an embedding needs, under their published names."""

    def __init__(self, dim: int, heads: int, depth: int) -> None:
        super().__init__()
        from transformers import DistilBertConfig, DistilBertModel

        self.patch2embed = _PatchEmbed(dim)
        self.encoder_pe = nn.Parameter(torch.zeros(1, 196, dim))
        self.encoder_blocks = nn.ModuleList(_Block(dim, heads) for _ in range(depth))
        self.encoder_norm = _RMSNorm(dim)
        self.lang2encoder = nn.Linear(768, dim)
        self.img_token, self.lang_token = nn.Parameter(torch.zeros(1, 1, dim)), nn.Parameter(torch.zeros(1, 1, dim))
        config = DistilBertConfig()
        config._attn_implementation = "eager"
        self.lm: Any = DistilBertModel(config).eval()


class Voltron(Network):
    """[N, 3, 224, 224] -> vector [N, 384], tokens [N, 14, 14, 384]."""

    depth = 12
    poolings = ("mean",)
    sentence: Tensor
    queries: Tensor

    def __init__(self) -> None:
        super().__init__()
        self.parts: Any = _Parts(384, 6, self.depth)

    @property
    def body(self) -> nn.Module:
        return self.parts

    @torch.no_grad()
    def configure(self, layer: int | None, pooling: str | None) -> None:
        super().configure(layer, pooling)
        if layer is not None:
            self.parts.encoder_blocks = self.parts.encoder_blocks[:layer]
        device = self.parts.encoder_pe.device
        words, mask = (torch.zeros(1, _WORDS, dtype=torch.int64, device=device) for _ in range(2))
        words[:, 0], mask[:, 0] = _START, 1
        states = self.parts.lm(input_ids=words, attention_mask=mask).last_hidden_state  # (1, 20, 768)
        self.register_buffer("sentence", self.parts.lang2encoder(states) + self.parts.lang_token, persistent=False)
        queries = torch.cat([torch.ones(1, 196, device=device), mask], dim=1)
        self.register_buffer("queries", queries[:, None, :, None], persistent=False)
        del self.parts.lm

    def forward(self, pixels: Tensor) -> Features:
        image = self.parts.patch2embed(pixels) + self.parts.encoder_pe + self.parts.img_token
        x = torch.cat([image, self.sentence.expand(len(image), -1, -1)], dim=1)  # (N, 196 + 20, 384)
        for block in self.parts.encoder_blocks:
            x = block(x, self.queries)
        tokens = self.parts.encoder_norm(x)[:, :196]
        return tokens.mean(1), tokens.unflatten(1, (14, 14))
