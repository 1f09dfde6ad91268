"""What a frozen encoder is: uint8 frames in, one float32 vector a frame out."""

from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor, nn

Frames = NDArray[np.uint8] | Tensor


class Encoder:
    """A frozen network with its own preprocessing.

    Attributes:
        name: canonical name.
        dim: size of an embedding.
        preprocessing: what happens to a frame before the network, in words; part of an embedding's identity.
    """

    layer: int | None = None
    pooling = "default"

    def __init__(self, name: str, dim: int, network: nn.Module, size: int, preprocessing: str, device: str) -> None:
        self.name, self.dim, self.size, self.preprocessing = name, dim, size, preprocessing
        self.device = torch.device(device)
        self._network = network.to(self.device).eval().requires_grad_(False)

    @torch.no_grad()
    def embed(self, frames: Frames) -> Tensor:
        """Embed uint8 frames [N, H, W, 3] of any size: float32 [N, dim], detached, on the encoder's device."""
        return self._network(self._preprocess(frames)).float()

    def _preprocess(self, frames: Frames) -> Tensor:
        pixels = resize(np.asarray(frames.cpu() if isinstance(frames, Tensor) else frames), self.size)
        return torch.from_numpy(pixels).to(self.device).permute(0, 3, 1, 2)  # (N, 3, H, W), channels last in memory


def resize(frames: NDArray[Any], size: int) -> NDArray[np.uint8]:
    """Square `size` by PIL's antialiased bilinear filter; frames of that size already are not touched.

    Raises:
        ValueError: not uint8 [N, H, W, 3].
    """
    if frames.dtype != np.uint8 or frames.ndim != 4 or frames.shape[-1] != 3:
        raise ValueError(f"frames must be uint8 [N, H, W, 3], got {frames.dtype} {list(frames.shape)}")
    if frames.shape[1:3] == (size, size):
        return np.ascontiguousarray(frames)
    return np.stack([np.asarray(Image.fromarray(f).resize((size, size), Image.Resampling.BILINEAR)) for f in frames])
