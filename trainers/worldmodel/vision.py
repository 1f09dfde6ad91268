"""Small convolutional encoder and decoder of frames, sized for a CPU (`scratch`)."""

import torch.nn.functional as F
from torch import Tensor, nn

from trainers.worldmodel.layers import ConvNormSilu, NormSilu, init_, linear

CHANNELS = (24, 48, 64)
RECONSTRUCTED = 16  # side of the reconstructed image


def _conv(inputs: int, outputs: int, kernel: int, stride: int) -> nn.Conv2d:
    layer = nn.Conv2d(inputs, outputs, kernel, stride, padding=(kernel - stride) // 2, bias=False)
    init_(layer.weight, inputs * kernel * kernel)
    return layer


def _deconv(inputs: int, outputs: int) -> nn.ConvTranspose2d:
    layer = nn.ConvTranspose2d(inputs, outputs, 4, 2, padding=1)
    init_(layer.weight, inputs * 4)  # each output pixel reads 2 x 2 inputs
    nn.init.zeros_(layer.bias)  # type: ignore[arg-type]
    return layer


class FrameEncoder(nn.Module):
    """uint8 frames [..., H, W, 3] -> float [..., dim]; strides 4, 2, 2."""

    def __init__(self, height: int, width: int) -> None:
        super().__init__()
        a, b, c = CHANNELS
        self.layers = nn.Sequential(
            *(_conv(3, a, 4, 4), ConvNormSilu(a)),
            *(_conv(a, b, 4, 2), ConvNormSilu(b)),
            *(_conv(b, c, 4, 2), ConvNormSilu(c)),
            nn.Flatten(),
        )
        self.dim = c * (height // 16) * (width // 16)

    def forward(self, frames: Tensor) -> Tensor:
        x = normalised(frames).flatten(0, -4)  # (N, 3, H, W)
        return self.layers(x).unflatten(0, frames.shape[:-3])


class FrameDecoder(nn.Module):
    """Features [N, F] -> frames [N, 3, 16, 16] of values around [-0.5, 0.5]."""

    def __init__(self, inputs: int) -> None:
        super().__init__()
        _, b, c = CHANNELS
        side = RECONSTRUCTED // 4
        self.layers = nn.Sequential(
            linear(inputs, c * side * side, bias=False), NormSilu(c * side * side), nn.Unflatten(1, (c, side, side)),
            _deconv(c, b // 2), ConvNormSilu(b // 2), _deconv(b // 2, 3),
        )  # fmt: skip

    def forward(self, features: Tensor) -> Tensor:
        return self.layers(features)


def normalised(frames: Tensor) -> Tensor:
    """uint8 [..., H, W, 3] -> float [..., 3, H, W] in [-0.5, 0.5]."""
    return frames.movedim(-1, -3).float() / 255 - 0.5


def reconstruction_target(frames: Tensor) -> Tensor:
    """uint8 [N, H, W, 3] -> float [N, 3, 16, 16], area means in [-0.5, 0.5]."""
    return F.adaptive_avg_pool2d(normalised(frames), RECONSTRUCTED)
