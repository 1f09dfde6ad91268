"""V-JEPA 2's video encoder, as transformers implements it, on single frames."""

from typing import Any

from torch import Tensor, nn

from pipeline.encoders.networks.network import Features, Network


class VJepa2(Network):
    """ViT-L with 2 x 16 x 16 tubelets: a frame repeated twice is one tubelet deep, so its tokens are one 16 x 16 grid."""

    depth = 24
    poolings = ("mean",)

    def __init__(self) -> None:
        super().__init__()
        import torch
        from transformers.models.vjepa2.configuration_vjepa2 import VJEPA2Config
        from transformers.models.vjepa2.modeling_vjepa2 import VJEPA2Encoder

        config: Any = VJEPA2Config()
        config._attn_implementation = "sdpa"
        with torch.device("meta"):
            self.encoder: Any = VJEPA2Encoder(config)

    @property
    def body(self) -> nn.Module:
        return self.encoder

    def configure(self, layer: int | None, pooling: str | None) -> None:
        super().configure(layer, pooling)
        if layer is not None:
            self.encoder.layer = self.encoder.layer[:layer]

    def forward(self, pixels: Tensor) -> Features:
        video = pixels.unsqueeze(1).expand(-1, 2, -1, -1, -1)  # (N, 2 frames, 3, H, W)
        tokens = self.encoder(pixel_values_videos=video).last_hidden_state  # (N, h * w, D)
        return tokens.mean(1), tokens.unflatten(1, (pixels.shape[-2] // 16, pixels.shape[-1] // 16))
