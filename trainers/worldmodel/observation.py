"""How a world model reads an observation and reconstructs it: one module for vectors, one for frames, with the same methods.

Where latents of vectors must reconstruct the frames that the vectors were made of, a third does it, just as the second.

All use statistics of the training rows that are fixed before training and stored with the weights. Without them a frozen
representation whose variance is far below one (a random network's) never lifts the reconstruction above the free nats, and the
latents stay empty (measured: reward R2 0.00 against 0.94).
"""

import torch
from torch import Tensor, nn

from trainers.worldmodel.config import ModelConfig
from trainers.worldmodel.layers import linear, mlp, trunk
from trainers.worldmodel.losses import symlog
from trainers.worldmodel.vision import SIDE, FrameDecoder, FrameEncoder, shrunk

_LEAST_STD = 1e-2  # of a dimension, against the largest: one that hardly varies is not blown up to unit variance
_ADAPTER_LAYERS = 3  # as upstream's encoder of vectors (dreamerv3/configs.yaml, enc)
_CHUNK = 64  # rows summed at once


class VectorObservation(nn.Module):
    """Vectors [..., D]: standardised by dimension, symlogged, read through one linear map, reconstructed (arXiv 2411.10175).

    Attributes:
        dim: size of the embedding that the RSSM reads.
        target_dim: size of what projected features are compared with.
    """

    mean: Tensor  # float [D]
    std: Tensor  # float [D]

    def __init__(self, config: ModelConfig, feature_dim: int) -> None:
        super().__init__()
        (size,) = config.observation_shape
        self.target_dim, self.dim = size, config.hidden if config.adapter == "linear" else config.units
        self.adapter = linear(size, self.dim) if config.adapter == "linear" else trunk(size, self.dim, _ADAPTER_LAYERS)
        self.decoder = mlp(feature_dim, config.units, 2, size) if config.decoder == "embedding" else None
        self.register_buffer("mean", torch.zeros(size))
        self.register_buffer("std", torch.ones(size))

    def standardise(self, rows: Tensor) -> None:
        """Fix mean and standard deviation of every dimension from training rows [n, D]."""
        for own, found in zip((self.mean, self.std), standardisation(rows), strict=True):
            own.copy_(found)

    def prepare(self, observation: Tensor) -> Tensor:
        """Stored values [..., D] -> what is read and reconstructed, float [..., D]."""
        return symlog((observation.float() - self.mean) / self.std)

    def embed(self, prepared: Tensor) -> Tensor:
        """[..., D] -> [..., dim]."""
        return self.adapter(prepared)

    def target(self, prepared: Tensor, embed: Tensor) -> Tensor:
        """What projected features are compared with, [..., target_dim]: the frozen representation itself, not its adapter's."""
        return prepared

    def error(self, feature: Tensor, prepared: Tensor) -> Tensor | None:
        """Squared error [...] of the reconstruction from features [..., F], summed over dimensions; None without a decoder."""
        return None if self.decoder is None else (self.decoder(feature) - prepared).square().sum(-1)


class FrameObservation(nn.Module):
    """uint8 frames [..., H, W, 3]: scaled to [-0.5, 0.5] and read by a CNN as upstream does; reconstructed at 16 x 16.

    Only the reconstruction's target is standardised (less the mean frame, over one standard deviation), so that moving things
    count beside a constant background. The CNN's input is not: its per-position normalisation would blow up a background
    that is zero but for a shift (measured: filtering R2 under the mildest look below 0, against 0.96).

    Attributes:
        dim: size of the embedding that the RSSM reads.
        target_dim: size of what projected features are compared with.
    """

    mean: Tensor  # float [1, 16, 16, 3], of the shrunk training frames
    std: Tensor  # float []

    def __init__(self, config: ModelConfig, feature_dim: int) -> None:
        super().__init__()
        height, width, _ = config.observation_shape
        self.encoder = FrameEncoder(height, width)
        self.decoder = None if config.decoder == "none" else FrameDecoder(feature_dim)
        self.dim = self.target_dim = self.encoder.dim
        self.register_buffer("mean", torch.zeros(1, SIDE, SIDE, 3))
        self.register_buffer("std", torch.ones(()))

    def standardise(self, rows: Tensor) -> None:
        """Fix the mean frame, and one standard deviation of all pixels about it, from training frames [n, H, W, 3]."""
        for own, found in zip((self.mean, self.std), frame_statistics(rows), strict=True):
            own.copy_(found)

    def prepare(self, observation: Tensor) -> Tensor:
        """uint8 [..., H, W, 3] -> float [..., H, W, 3] in [-0.5, 0.5]."""
        return scaled(observation)

    def embed(self, prepared: Tensor) -> Tensor:
        """[..., H, W, 3] -> [..., dim]."""
        return self.encoder(prepared)

    def target(self, prepared: Tensor, embed: Tensor) -> Tensor:
        """What projected features are compared with, [..., target_dim]: the CNN's embedding."""
        return embed

    def error(self, feature: Tensor, prepared: Tensor) -> Tensor | None:
        """Squared error [...] of the 16 x 16 reconstruction from features [..., F], summed over its values; None without one."""
        return None if self.decoder is None else frame_error(self.decoder, feature, prepared, self.mean, self.std)


class FrameReconstruction(nn.Module):
    """Reconstruction of the frames that vectors were made of, which the RSSM does not read: 16 x 16, standardised."""

    mean: Tensor  # float [1, 16, 16, 3], of the shrunk training frames
    std: Tensor  # float []

    def __init__(self, feature_dim: int) -> None:
        super().__init__()
        self.decoder = FrameDecoder(feature_dim)
        self.register_buffer("mean", torch.zeros(1, SIDE, SIDE, 3))
        self.register_buffer("std", torch.ones(()))

    def standardise(self, frames: Tensor | None) -> None:
        """As of `FrameObservation`, from training frames [n, H, W, 3]."""
        for own, found in zip((self.mean, self.std), frame_statistics(_given(frames)), strict=True):
            own.copy_(found)

    def error(self, feature: Tensor, frames: Tensor | None) -> Tensor:
        """Squared error [...] of uint8 frames' reconstruction from features [..., F], summed over its values."""
        return frame_error(self.decoder, feature, scaled(_given(frames)), self.mean, self.std)


OBSERVATIONS: dict[str, type[VectorObservation] | type[FrameObservation]] = {
    "vector": VectorObservation,
    "pixels": FrameObservation,
}


def scaled(frames: Tensor) -> Tensor:
    """Pixel values [..., H, W, 3] of 0 to 255 -> float in [-0.5, 0.5]."""
    return frames.float() / 255 - 0.5


def frame_error(decoder: FrameDecoder, feature: Tensor, frames: Tensor, mean: Tensor, std: Tensor) -> Tensor:
    """Squared error [...] between what features [..., F] decode to and scaled frames [..., H, W, 3], shrunk and standardised."""
    made, target = decoder(feature.flatten(0, -2)), (shrunk(frames.flatten(0, -4)) - mean) / std
    return (made - target).square().flatten(1).sum(-1).unflatten(0, feature.shape[:-1])


def frame_statistics(frames: Tensor) -> tuple[Tensor, Tensor]:
    """Mean [1, 16, 16, 3] of scaled uint8 frames [n, H, W, 3], shrunk, and one standard deviation [] of all pixels about it."""
    mean, square = _moments(frames)
    return shrunk(scaled(mean)[None]), (square - mean.square()).clamp(min=0).mean().sqrt().clamp(min=1.0) / 255


def _given(frames: Tensor | None) -> Tensor:
    if frames is None:
        raise ValueError("a model whose latents reconstruct frames was given none")
    return frames


def standardisation(rows: Tensor) -> tuple[Tensor, Tensor]:
    """Mean and standard deviation of every dimension of rows [n, D], float64 [D], the latter no less than 0.01 of the largest."""
    mean, square = _moments(rows)
    std = (square - mean.square()).clamp(min=0).sqrt()
    return mean, std.clamp(min=max(_LEAST_STD * float(std.max()), 1e-8))


def _moments(rows: Tensor) -> tuple[Tensor, Tensor]:
    """Mean of [n, ...] and of its square, float64 [...]."""
    total = torch.zeros(rows.shape[1:], dtype=torch.float64, device=rows.device)
    square = torch.zeros_like(total)
    for chunk in rows.split(_CHUNK):
        values = chunk.double()
        total += values.sum(0)
        square += values.square().sum(0)
    return total / len(rows), square / len(rows)
