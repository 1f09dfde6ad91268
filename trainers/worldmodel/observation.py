"""How a world model reads an observation and reconstructs it: one module for vectors, one for frames, with the same methods.

Both standardise with statistics of the training rows that are fixed before training and stored with the weights. Without that
a frozen representation whose variance is far below one (a random network's) never lifts the reconstruction above the free
nats, and the latents stay empty (measured: reward R2 0.00 against 0.94).
"""

import torch
from torch import Tensor, nn

from trainers.worldmodel.config import ModelConfig
from trainers.worldmodel.layers import linear, mlp
from trainers.worldmodel.losses import symlog
from trainers.worldmodel.vision import FrameDecoder, FrameEncoder, shrunk

_LEAST_STD = 1e-2  # of a dimension, against the largest: one that hardly varies is not blown up to unit variance
_CHUNK = 64  # rows summed at once


class VectorObservation(nn.Module):
    """Vectors [..., D]: standardised by dimension, symlogged, read through one linear map, reconstructed (arXiv 2411.10175).

    Attributes:
        dim: size of the embedding that the RSSM reads.
    """

    mean: Tensor  # float [D]
    std: Tensor  # float [D]

    def __init__(self, config: ModelConfig, feature_dim: int) -> None:
        super().__init__()
        (size,) = config.observation_shape
        self.dim = config.hidden
        self.adapter = linear(size, self.dim)
        self.decoder = mlp(feature_dim, config.units, 2, size)
        self.register_buffer("mean", torch.zeros(size))
        self.register_buffer("std", torch.ones(size))

    def standardise(self, rows: Tensor) -> None:
        """Fix mean and standard deviation of every dimension from training rows [n, D]."""
        mean, square = _moments(rows)
        std = (square - mean.square()).clamp(min=0).sqrt()
        self.mean.copy_(mean)
        self.std.copy_(std.clamp(min=max(_LEAST_STD * float(std.max()), 1e-8)))

    def prepare(self, observation: Tensor) -> Tensor:
        """Stored values [..., D] -> what is read and reconstructed, float [..., D]."""
        return symlog((observation.float() - self.mean) / self.std)

    def embed(self, prepared: Tensor) -> Tensor:
        """[..., D] -> [..., dim]."""
        return self.adapter(prepared)

    def error(self, feature: Tensor, prepared: Tensor) -> Tensor:
        """Squared error [...] of the reconstruction from features [..., F], summed over dimensions."""
        return (self.decoder(feature) - prepared).square().sum(-1)


class FrameObservation(nn.Module):
    """uint8 frames [..., H, W, 3]: less their mean frame, over one standard deviation; read by a CNN, reconstructed at 16 x 16.

    Attributes:
        dim: size of the embedding that the RSSM reads.
    """

    mean: Tensor  # float [H, W, 3]
    std: Tensor  # float []

    def __init__(self, config: ModelConfig, feature_dim: int) -> None:
        super().__init__()
        height, width, _ = config.observation_shape
        self.encoder, self.decoder = FrameEncoder(height, width), FrameDecoder(feature_dim)
        self.dim = self.encoder.dim
        self.register_buffer("mean", torch.full((height, width, 3), 127.5))
        self.register_buffer("std", torch.tensor(127.5))

    def standardise(self, rows: Tensor) -> None:
        """Fix the mean frame, and one standard deviation of all pixels about it, from training frames [n, H, W, 3]."""
        mean, square = _moments(rows)
        self.mean.copy_(mean)
        self.std.copy_((square - mean.square()).clamp(min=0).mean().sqrt().clamp(min=1.0))

    def prepare(self, observation: Tensor) -> Tensor:
        """uint8 [..., H, W, 3] -> float [..., H, W, 3]."""
        return (observation - self.mean).div_(self.std)

    def embed(self, prepared: Tensor) -> Tensor:
        """[..., H, W, 3] -> [..., dim]."""
        return self.encoder(prepared)

    def error(self, feature: Tensor, prepared: Tensor) -> Tensor:
        """Squared error [...] of the 16 x 16 reconstruction from features [..., F], summed over its values."""
        made, target = self.decoder(feature.flatten(0, -2)), shrunk(prepared.flatten(0, -4))
        return (made - target).square().flatten(1).sum(-1).unflatten(0, feature.shape[:-1])


OBSERVATIONS: dict[str, type[VectorObservation] | type[FrameObservation]] = {
    "vector": VectorObservation,
    "pixels": FrameObservation,
}


def _moments(rows: Tensor) -> tuple[Tensor, Tensor]:
    """Mean of [n, ...] and of its square, float64 [...]."""
    total = torch.zeros(rows.shape[1:], dtype=torch.float64, device=rows.device)
    square = torch.zeros_like(total)
    for chunk in rows.split(_CHUNK):
        values = chunk.double()
        total += values.sum(0)
        square += values.square().sum(0)
    return total / len(rows), square / len(rows)
