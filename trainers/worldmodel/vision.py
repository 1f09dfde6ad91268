"""Small convolutional encoder and decoder of frames, sized for a CPU (`scratch`).

Images are kept channels last; wherever a convolution's stride equals its kernel it is written as one matrix product.
"""

import torch.nn.functional as F
from torch import Tensor, nn

from trainers.worldmodel.layers import NormSilu, init_, linear

CHANNELS = (24, 48, 64)
PATCH = 4  # stride of the first layer
STRIDE = 4 * PATCH  # of the whole encoder
SIDE = 16  # of the reconstructed image


class FrameEncoder(nn.Module):
    """Frames in [-0.5, 0.5], [..., H, W, 3] -> float [..., dim]: 4 x 4 patches, then two 3 x 3 convolutions of stride 2."""

    def __init__(self, height: int, width: int) -> None:
        super().__init__()
        a, b, c = CHANNELS
        self.patch, self.patch_norm = linear(PATCH * PATCH * 3, a, bias=False), NormSilu(a)
        self.middle, self.middle_norm = _Conv(a, b), NormSilu(b)
        self.last, self.last_norm = _Conv(b, c), NormSilu(c)
        self._margins = (-height % STRIDE, -width % STRIDE)  # the mean colour, where a side is no multiple of 16
        self.dim = c * ((height + self._margins[0]) // STRIDE) * ((width + self._margins[1]) // STRIDE)

    def forward(self, frames: Tensor) -> Tensor:
        below, right = self._margins
        x = F.pad(frames.flatten(0, -4), (0, 0, 0, right, 0, below)) if below or right else frames.flatten(0, -4)
        x = self.patch_norm(self.patch(patches(x)))  # (N, H / 4, W / 4, a)
        x = self.last_norm(self.last(self.middle_norm(self.middle(x))))  # (N, H / 16, W / 16, c)
        return x.flatten(1).unflatten(0, frames.shape[:-3])


class FrameDecoder(nn.Module):
    """Features [N, F] -> standardised frames [N, 16, 16, 3]; each step turns a pixel into 2 x 2."""

    def __init__(self, inputs: int) -> None:
        super().__init__()
        _, b, c = CHANNELS
        self._shape = (SIDE // 4, SIDE // 4, c)
        size = SIDE * SIDE // 16 * c
        self.spread, self.spread_norm = linear(inputs, size, bias=False), NormSilu(size)
        self.middle, self.middle_norm = linear(c, 4 * b, bias=False), NormSilu(b)
        self.last = linear(b, 4 * 3)

    def forward(self, features: Tensor) -> Tensor:
        x = self.spread_norm(self.spread(features)).unflatten(1, self._shape)
        return _doubled(self.last(self.middle_norm(_doubled(self.middle(x)))))


class _Conv(nn.Module):
    """3 x 3 convolution of stride 2 without bias: [N, H, W, i] -> [N, H / 2, W / 2, o]."""

    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__()
        self.conv = nn.Conv2d(inputs, outputs, 3, 2, padding=1, bias=False)
        init_(self.conv.weight, 9 * inputs)

    def forward(self, x: Tensor) -> Tensor:
        return self.conv(x.permute(0, 3, 1, 2)).permute(0, 2, 3, 1)


def patches(frames: Tensor, size: int = PATCH) -> Tensor:
    """[N, H, W, C] -> [N, H / size, W / size, size * size * C]; sides must be multiples of `size`."""
    x = frames.unflatten(2, (-1, size)).unflatten(1, (-1, size))  # (N, H / s, s, W / s, s, C)
    return x.transpose(2, 3).flatten(3)


def _doubled(x: Tensor) -> Tensor:
    """[N, H, W, 4 C] -> [N, 2 H, 2 W, C], the inverse of `patches` of size 2."""
    return x.unflatten(3, (2, 2, -1)).transpose(2, 3).flatten(3, 4).flatten(1, 2)


def shrunk(frames: Tensor) -> Tensor:
    """Float frames [N, H, W, 3] -> area means [N, 16, 16, 3]."""
    return F.adaptive_avg_pool2d(frames.permute(0, 3, 1, 2), SIDE).permute(0, 2, 3, 1)
