"""From the last K observations to a latent: one module for vectors, one for frames, with the same methods."""

import torch
from torch import Tensor, nn

from datasets.errors import UserError
from trainers.tdmpc2.config import SHIFT, Config
from trainers.tdmpc2.layers import NormedLinear, SimNorm, mlp
from trainers.worldmodel.losses import symlog
from trainers.worldmodel.observation import standardisation

_KERNELS = ((7, 2), (5, 2), (3, 2), (3, 1))  # size and stride of each convolution (upstream `conv`)


class VectorEncoder(nn.Module):
    """Vectors [..., K, D]: standardised by dimension, symlogged, concatenated, read by an MLP that ends in SimNorm -> [..., Z].

    The inputs are those of DreamerV3's model (`worldmodel.observation.VectorObservation`), so that what the two make of a frozen
    representation differs by the algorithm alone. Upstream reads states as they are; embeddings come in all units.
    """

    mean: Tensor  # float [D]
    std: Tensor  # float [D]

    def __init__(self, config: Config) -> None:
        super().__init__()
        (size,), sizes = config.observation_shape, config.settings.sizes
        last = NormedLinear(sizes.encoder, sizes.latent, SimNorm())
        self.net = mlp(config.settings.frames * size, sizes.encoder, max(sizes.encoder_layers - 1, 1), last)
        self.register_buffer("mean", torch.zeros(size))
        self.register_buffer("std", torch.ones(size))

    def standardise(self, rows: Tensor) -> None:
        """Fix mean and standard deviation of every dimension from training rows [n, D]."""
        for own, found in zip((self.mean, self.std), standardisation(rows), strict=True):
            own.copy_(found)

    def forward(self, observation: Tensor, moves: Tensor | None = None) -> Tensor:
        return self.net(symlog((observation.float() - self.mean) / self.std).flatten(-2))


class FrameEncoder(nn.Module):
    """uint8 frames [..., K, H, W, 3] as 3 K channels in [-0.5, 0.5], read by four convolutions, then SimNorm -> [..., Z].

    In training all K are moved together by up to three pixels (`moves`, int64 [..., 2], 0 to 6: down and right, less 3), edges
    repeated; otherwise they are read as they are (upstream moves them always). Where the convolutions do not end in Z values, as
    upstream's 5m does at 64 pixels, a linear map with LayerNorm follows.
    """

    def __init__(self, config: Config) -> None:
        super().__init__()
        sizes = config.settings.sizes
        sides = config.observation_shape[:2]
        for kernel, stride in _KERNELS:
            sides = tuple((side - kernel) // stride + 1 for side in sides)
            if min(sides) < 1:
                raise UserError(
                    f"render.size: TD-MPC2's convolutions need at least 39 pixels a side, frames are {config.observation_shape}"
                )
        inputs, parts = 3 * config.settings.frames, list[nn.Module]()
        for kernel, stride in _KERNELS:
            parts += [nn.Conv2d(inputs, sizes.channels, kernel, stride), nn.ReLU()]
            inputs = sizes.channels
        flat = sizes.channels * sides[0] * sides[1]
        last = SimNorm() if flat == sizes.latent else NormedLinear(flat, sizes.latent, SimNorm())
        self.net = nn.Sequential(*parts[:-1], nn.Flatten(), last)

    def standardise(self, rows: Tensor) -> None:
        """Frames are not."""

    def forward(self, observation: Tensor, moves: Tensor | None = None) -> Tensor:
        frames = observation.flatten(0, -5)  # (n, K, H, W, 3)
        if moves is not None:
            frames = shifted(frames, SHIFT, moves.flatten(0, -2))
        channels = frames.permute(0, 1, 4, 2, 3).flatten(1, 2)  # (n, 3 K, H, W)
        return self.net(channels.float().div_(255).sub_(0.5)).unflatten(0, observation.shape[:-4])


def shifted(frames: Tensor, most: int, moves: Tensor) -> Tensor:
    """[n, K, H, W, C], each of n moved by whole pixels, int64 [n, 2] from 0 to 2 * most, less `most`; edges repeated."""
    for axis in (2, 3):
        first, last = frames.narrow(axis, 0, 1), frames.narrow(axis, frames.shape[axis] - 1, 1)
        frames = torch.cat([*[first] * most, frames, *[last] * most], axis)
    height, width = frames.shape[2] - 2 * most, frames.shape[3] - 2 * most
    every = frames.unfold(2, height, 1).unfold(3, width, 1)  # (n, K, m, m, C, H, W)
    dy, dx = moves.unbind(-1)
    return every.permute(0, 2, 3, 1, 5, 6, 4)[torch.arange(len(frames), device=frames.device), dy, dx]


ENCODERS: dict[str, type[VectorEncoder] | type[FrameEncoder]] = {"vector": VectorEncoder, "pixels": FrameEncoder}
