"""timm's residual networks: torchvision's layout, and CLIP's with attention pooling."""

from typing import Any

import torch
from torch import Tensor, nn

from pipeline.encoders.networks.network import Features, Network


class ResNet(Network):
    """A timm `ResNet` or `ByobNet`; the vector is what its own head gives, the tokens are the last stage's map.

    A cut after stage `layer` (1 to 4) gives that stage's map, mean-pooled.
    """

    depth = 4

    def __init__(self, body: nn.Module, attention: bool = False) -> None:
        super().__init__()
        self.resnet: Any = body
        self.poolings = ("mean", "attention") if attention else ("mean",)
        self._own = "attention" if attention else None
        self._layer: int | None = None
        self._mean = False

    @property
    def body(self) -> nn.Module:
        return self.resnet

    def configure(self, layer: int | None, pooling: str | None) -> None:
        super().configure(layer, pooling)
        self._layer = None if layer == self.depth else layer
        self._mean = self._layer is not None or pooling not in (None, self._own)

    def forward(self, pixels: Tensor) -> Features:
        if self._layer is None:
            stage = self.resnet.forward_features(pixels)
        else:
            (stage,) = self.resnet.forward_intermediates(pixels, indices=[self._layer], stop_early=True, intermediates_only=True)
        vector = stage.mean((-2, -1)) if self._mean else torch.flatten(self.resnet.forward_head(stage), 1)
        return vector, stage.permute(0, 2, 3, 1)  # (N, h, w, D)
