"""In-domain autoencoder of a task's own training frames."""

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from pipeline.encoders.cnn import ConvDecoder, ConvEncoder, reconstruction_loss


class Autoencoder:
    """Objective of `autoencoder`: squared error of a frame, by Adam.

    The per-pixel mean image is subtracted first: otherwise 64 dimensions collapse to reconstructing it.
    """

    name = "autoencoder"

    def __init__(self, frames: NDArray[np.uint8], dim: int, seed: int) -> None:
        """
        Args:
            frames: uint8 [N, 64, 64, 3], whose mean is subtracted.
            dim: of an embedding.
            seed: of the initial weights.
        """
        torch.manual_seed(seed)
        self.encoder, self._decoder = ConvEncoder(dim), ConvDecoder(dim)
        mean = frames.reshape(len(frames), -1).mean(0, dtype=np.float64).reshape(frames.shape[1:])
        self.encoder.mean.copy_(torch.from_numpy(mean).permute(2, 0, 1) / 255 - 0.5)
        both = nn.ModuleDict({"encoder": self.encoder, "decoder": self._decoder})
        self.networks: nn.Module = both.to(memory_format=torch.channels_last)  # type: ignore[call-overload]

    def optimizer(self, learning_rate: float) -> torch.optim.Optimizer:
        return torch.optim.Adam(self.networks.parameters(), lr=learning_rate)

    def loss(self, frames: Tensor, generator: torch.Generator) -> Tensor:
        return reconstruction_loss(self.encoder, self._decoder, frames)

    def after_update(self, fraction: float) -> None:
        """Nothing to do."""
