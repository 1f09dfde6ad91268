"""The small vision transformer made here: frozen at random, or pre-trained on frames of the study's own tasks."""

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from pipeline.encoders.entry import HALF, Preprocess
from pipeline.encoders.networks.network import Features
from pipeline.encoders.networks.vit import Vit
from pipeline.encoders.torchvision_ops import import_torchvision

SIZE, PATCH = 64, 8  # pixels
GRID = SIZE // PATCH
PREPROCESS = Preprocess(resize=SIZE, square=True, filter="bilinear", mean=HALF[0], std=HALF[1])


class SmallVit(Vit):
    """timm's `VisionTransformer` on patches of 8 x 8 of 64 x 64 pixels; its vector is the class token after the last norm.

    Positions are fixed: sines and cosines of row and column (MAE, He et al. 2022). Linear layers start from Xavier's uniform
    distribution. `mean` [3, 64, 64], zero until `centre` sets it, is subtracted from the normalised pixels.
    """

    mean: Tensor

    def __init__(self, width: int, depth: int, heads: int, seed: int = 0) -> None:
        import_torchvision()
        from timm.models.vision_transformer import VisionTransformer

        body = VisionTransformer(SIZE, PATCH, num_classes=0, embed_dim=width, depth=depth, num_heads=heads, weight_init="skip")
        super().__init__(body, "cls")
        generator = torch.Generator().manual_seed(seed)
        initialise(body, generator)
        body.cls_token = nn.Parameter(torch.empty(1, 1, width).normal_(std=0.02, generator=generator))
        body.pos_embed = nn.Parameter(torch.cat([torch.zeros(1, 1, width), positions(width)], dim=1), requires_grad=False)
        self.register_buffer("mean", torch.zeros(3, SIZE, SIZE))

    def centre(self, frames: NDArray[np.uint8]) -> None:
        """Subtract the mean of these frames, uint8 [N, 64, 64, 3], from now on.

        Most of a task's picture never changes: left in, a network of this size learns that part and little else.
        """
        mean = frames.reshape(len(frames), -1).mean(0, dtype=np.float64).reshape(frames.shape[1:])
        self.mean.copy_(torch.from_numpy(mean).permute(2, 0, 1) / 255).sub_(0.5).div_(0.5)

    def forward(self, pixels: Tensor) -> Features:
        return super().forward(pixels - self.mean)

    def visible(self, pixels: Tensor, shown: Tensor | None) -> Tensor:
        """Normalised tokens [N, 1 + n, width], the class token first, where only the patches `shown` [N, n] are seen."""
        tokens = self.vit.patch_embed(pixels - self.mean) + self.vit.pos_embed[:, 1:]
        if shown is not None:
            tokens = taken(tokens, shown)
        tokens = torch.cat([self.vit.cls_token.expand(len(pixels), -1, -1), tokens], dim=1)
        return self.vit.norm(self.vit.blocks(tokens))


def normalised(frames: Tensor) -> Tensor:
    """uint8 [N, 3, 64, 64] -> float32, as `prepare` gives frames of that size to the network."""
    return frames.float().div_(255).sub_(0.5).div_(0.5)


def taken(tokens: Tensor, index: Tensor) -> Tensor:
    """Tokens [N, T, D] at `index` [N, n] -> [N, n, D]."""
    return tokens.gather(1, index[:, :, None].expand(-1, -1, tokens.shape[-1]))


def positions(width: int) -> Tensor:
    """Sines and cosines of the patches' rows and columns, [1, 64, width]."""
    from timm.layers import build_sincos2d_pos_embed

    return build_sincos2d_pos_embed([GRID, GRID], dim=width, interleave_sin_cos=True)[None]


def initialise(module: nn.Module, generator: torch.Generator) -> None:
    """Xavier-uniform weights (a patch embedding's as of the linear layer that it is), zero biases."""
    for part in module.modules():
        if isinstance(part, nn.Linear | nn.Conv2d):
            nn.init.xavier_uniform_(part.weight.view(len(part.weight), -1), generator=generator)
            if part.bias is not None:
                nn.init.zeros_(part.bias)
