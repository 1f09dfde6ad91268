"""The small convolutional networks made here: a frozen random one, and the encoder and decoder of an autoencoder."""

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from pipeline.encoders.entry import Preprocess

SIZE = 64  # pixels; other sizes are resampled to it
RESAMPLE = Preprocess(resize=SIZE, square=True, filter="bilinear")  # its size and filter count; the networks take uint8
PREPROCESSING = "square 64 px, PIL bilinear where the size differs; x / 255 - 0.5"
_WIDTHS = (32, 64, 128)


def _centre(pixels: Tensor) -> Tensor:
    return pixels.float().div_(255).sub_(0.5)


class ConvEncoder(nn.Module):
    """uint8 [N, 3, 64, 64] -> [N, dim]; `mean` [3, 64, 64] is subtracted from the centred pixels."""

    mean: Tensor

    def __init__(self, dim: int) -> None:
        super().__init__()
        a, b, c = _WIDTHS
        self.register_buffer("mean", torch.zeros(3, SIZE, SIZE))
        self.convs = nn.Sequential(
            nn.Conv2d(3, a, 4, stride=4), nn.SiLU(), nn.Conv2d(a, b, 4, stride=2, padding=1), nn.SiLU(),
            nn.Conv2d(b, c, 4, stride=2, padding=1), nn.SiLU(), nn.Flatten(),
        )  # fmt: skip
        self.head = nn.Linear(c * 16, dim)

    def forward(self, pixels: Tensor) -> Tensor:
        return self.head(self.convs(_centre(pixels) - self.mean))


class ConvDecoder(nn.Module):
    """[N, dim] -> centred pixels less their mean, [N, 3, 64, 64]."""

    def __init__(self, dim: int) -> None:
        super().__init__()
        a, b, c = _WIDTHS
        self.head = nn.Linear(dim, c * 16)
        self.convs = nn.Sequential(
            nn.Unflatten(1, (c, 4, 4)), nn.SiLU(), nn.ConvTranspose2d(c, b, 4, stride=2, padding=1), nn.SiLU(),
            nn.ConvTranspose2d(b, a, 4, stride=2, padding=1), nn.SiLU(), nn.ConvTranspose2d(a, 3, 4, stride=4),
        )  # fmt: skip

    def forward(self, embedding: Tensor) -> Tensor:
        return self.convs(self.head(embedding))


def random_network(dim: int, seed: int) -> ConvEncoder:
    """A frozen random encoder: orthogonal weights, zero biases, every layer scaled to keep the variance of SiLU features."""
    generator = torch.Generator().manual_seed(seed)
    network = ConvEncoder(dim)
    for module in network.modules():
        if isinstance(module, nn.Conv2d | nn.Linear):
            nn.init.orthogonal_(module.weight, gain=1.7, generator=generator)
            if module.bias is not None:
                nn.init.zeros_(module.bias)
    return network


def reconstruction_loss(encoder: ConvEncoder, decoder: ConvDecoder, pixels: Tensor) -> Tensor:
    """Mean squared error, summed over a frame's pixels, of reconstructing uint8 [N, 3, 64, 64] less the mean image."""
    target = _centre(pixels) - encoder.mean
    return F.mse_loss(decoder(encoder(pixels)), target, reduction="sum") / len(pixels)
