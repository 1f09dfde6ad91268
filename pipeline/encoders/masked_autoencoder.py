"""In-domain masked autoencoder (MAE, He et al. 2022): three patches in four are hidden, the rest must tell what they were."""

import torch
from torch import Tensor, nn

from pipeline.encoders.networks.small_vit import GRID, PATCH, SmallVit, initialise, normalised, positions, taken

_HIDDEN = 0.75
_WIDTH, _DEPTH, _HEADS = 96, 2, 3  # of the decoder


class MaskedAutoencoder:
    """Objective of `mae_indomain`: squared error of the hidden patches' pixels, each patch normalised by itself.

    Nothing is hidden from the encoder once it has learned.
    """

    name = "mae_indomain"

    def __init__(self, encoder: SmallVit, seed: int) -> None:
        self.encoder = encoder
        self._decoder = _Decoder(encoder.vit.embed_dim, seed)
        self.networks: nn.Module = nn.ModuleDict({"encoder": encoder, "decoder": self._decoder})

    def optimizer(self, learning_rate: float) -> torch.optim.Optimizer:
        return torch.optim.AdamW([p for p in self.networks.parameters() if p.requires_grad], lr=learning_rate, weight_decay=0.05)

    def loss(self, frames: Tensor, generator: torch.Generator) -> Tensor:
        pixels = normalised(frames)
        hide = int(_HIDDEN * GRID * GRID)
        order = torch.rand(len(frames), GRID * GRID, generator=generator).argsort(1).to(frames.device)
        shown, hidden = order.split([GRID * GRID - hide, hide], dim=1)
        predicted = self._decoder(self.encoder.visible(pixels, shown), shown, hidden)  # (B, hidden, 3 * 8 * 8)
        target = taken(patches(pixels - self.encoder.mean), hidden)
        target = (target - target.mean(-1, keepdim=True)) / (target.var(-1, keepdim=True) + 1e-6).sqrt()
        return nn.functional.mse_loss(predicted, target)

    def after_update(self, fraction: float) -> None:
        """Nothing to do."""


class _Decoder(nn.Module):
    """Class token and shown tokens [B, 1 + n, width] -> pixels of the hidden patches [B, m, 3 * 8 * 8]."""

    positions: Tensor

    def __init__(self, width: int, seed: int) -> None:
        from timm.models.vision_transformer import Block

        super().__init__()
        self.embed = nn.Linear(width, _WIDTH)
        self.asked = nn.Parameter(torch.zeros(1, 1, _WIDTH))
        self.register_buffer("positions", positions(_WIDTH))
        self.blocks = nn.Sequential(*(Block(_WIDTH, _HEADS, qkv_bias=True) for _ in range(_DEPTH)))
        self.norm = nn.LayerNorm(_WIDTH)
        self.head = nn.Linear(_WIDTH, 3 * PATCH * PATCH)
        initialise(self, torch.Generator().manual_seed(seed + 1))

    def forward(self, tokens: Tensor, shown: Tensor, hidden: Tensor) -> Tensor:
        tokens = self.embed(tokens)
        everywhere = self.positions.expand(len(tokens), -1, -1)
        seen = tokens[:, 1:] + taken(everywhere, shown)
        asked = self.asked + taken(everywhere, hidden)
        out = self.blocks(torch.cat([tokens[:, :1], seen, asked], dim=1))
        return self.head(self.norm(out[:, -hidden.shape[1] :]))


def patches(pixels: Tensor) -> Tensor:
    """[N, 3, 64, 64] -> [N, 64, 8 * 8 * 3], row by row of the grid, as the patch embedding numbers them."""
    grid = pixels.reshape(len(pixels), 3, GRID, PATCH, GRID, PATCH)
    return grid.permute(0, 2, 4, 3, 5, 1).reshape(len(pixels), GRID * GRID, -1)
