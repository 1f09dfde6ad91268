"""What a frozen encoder is: uint8 frames in, one float32 vector a frame out."""

from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from datasets.errors import UserError
from pipeline.encoders.entry import Preprocess
from pipeline.encoders.networks.network import Network
from pipeline.encoders.preprocess import by_pillow, check_frames, prepare

Frames = NDArray[np.uint8] | Tensor


class Features(NamedTuple):
    """What one forward pass gives.

    Attributes:
        vector: float32 [N, dim].
        tokens: float32 [N, h, w, D]; None where there is no spatial grid.
        hidden: float32 [N, tokens, D] after the block that `keep_hidden` named.
    """

    vector: Tensor
    tokens: Tensor | None = None
    hidden: Tensor | None = None


class FeatureShapes(NamedTuple):
    """Shapes of one frame's `Features`, as far as there are any."""

    tokens: tuple[int, ...] | None
    hidden: tuple[int, ...] | None


def shapes_of(features: Features) -> FeatureShapes:
    """The shapes of a frame's values."""
    return FeatureShapes(*(None if values is None else tuple(values.shape[1:]) for values in features[1:]))


class Encoder:
    """A frozen network with its own preprocessing.

    Attributes:
        name: canonical name.
        dim: size of an embedding.
        preprocessing: what happens to a frame before the network, in words; part of an embedding's identity.
        layer: block that it is cut after, None for the whole. pooling: "default" for the authors' own.
    """

    layer: int | None = None
    pooling = "default"
    _autocast: torch.dtype | None = None

    def __init__(self, name: str, dim: int, network: nn.Module, how: Preprocess, preprocessing: str, device: str) -> None:
        self.name, self.dim, self.size, self.preprocessing = name, dim, how.size, preprocessing
        self._how = how
        self.device = torch.device(device)
        self._network = network.to(self.device).eval().requires_grad_(False)

    def run_as(self, precision: str, compiled: bool) -> None:
        """Run the forward pass in `precision` ("fp32", "bf16", "fp16": autocast), through torch.compile where `compiled`."""
        self._autocast = {"fp32": None, "bf16": torch.bfloat16, "fp16": torch.float16}[precision]
        if compiled:
            self._network.compile()

    def embed(self, frames: Frames) -> Tensor:
        """Embed uint8 frames [N, H, W, 3] of any size: float32 [N, dim], detached, on the encoder's device."""
        return self.embed_pixels(self.pixels(frames))

    def pixels(self, frames: Frames) -> Tensor:
        """The network's input for uint8 frames [N, H, W, 3]: preprocessed, on the encoder's device."""
        check_frames(frames)
        pixels = by_pillow(np.asarray(frames.cpu() if isinstance(frames, Tensor) else frames), self._how)
        return torch.from_numpy(pixels).to(self.device).permute(0, 3, 1, 2)  # (N, 3, H, W), channels last in memory

    @torch.no_grad()
    def embed_pixels(self, pixels: Tensor) -> Tensor:
        """The rest of `embed`: float32 [N, dim] of what `pixels` gave."""
        with torch.autocast(self.device.type, self._autocast, enabled=self._autocast is not None):
            return self._vector(pixels).float()

    def _vector(self, pixels: Tensor) -> Tensor:
        vector: Tensor = self._network(pixels)
        return vector

    def features(self, pixels: Tensor) -> Features:
        """Everything that one forward pass over `pixels` gives, detached."""
        return Features(self.embed_pixels(pixels))

    def feature_shapes(self) -> FeatureShapes:
        """Shapes of what `features` gives for one frame."""
        return shapes_of(self.features(self.pixels(np.zeros((1, self.size, self.size, 3), np.uint8))))

    def keep_hidden(self, block: int) -> bool:
        """Have `features` give the tokens after a ViT's block `block`, counted from 1; False where there are no such blocks.

        Raises:
            UserError: it has fewer blocks.
        """
        return False

    def tokens(self, frames: Frames) -> Tensor:
        """Spatial tokens of uint8 frames [N, H, W, 3]: float32 [N, h, w, D]; neither class tokens nor registers are among them.

        Raises:
            UserError: the encoder has no spatial grid.
        """
        raise UserError(f"{self.name} has no spatial tokens")


class PublishedEncoder(Encoder):
    """A published network, fed exactly as its authors feed it."""

    _network: Network

    def __init__(
        self,
        name: str,
        dim: int,
        network: Network,
        how: Preprocess,
        device: str,
        layer: int | None = None,
        pooling: str | None = None,
    ) -> None:
        network.configure(layer, pooling)
        super().__init__(name, dim, network, how, str(how), device)
        self.layer, self.pooling = layer, pooling or "default"
        if (layer, pooling) != (None, None):
            self.dim = self.embed(np.zeros((1, how.size, how.size, 3), np.uint8)).shape[-1]

    def pixels(self, frames: Frames) -> Tensor:
        return prepare(frames, self._how, self.device)

    def _vector(self, pixels: Tensor) -> Tensor:
        vector, _ = self._network(pixels)
        return vector

    @torch.no_grad()
    def features(self, pixels: Tensor) -> Features:
        with torch.autocast(self.device.type, self._autocast, enabled=self._autocast is not None):
            found = (*self._network(pixels), self._network.hidden)
        return Features(*(None if values is None else values.float().contiguous() for values in found))  # type: ignore[arg-type]

    def keep_hidden(self, block: int) -> bool:
        return self._network.keep_hidden(block)

    def tokens(self, frames: Frames) -> Tensor:
        tokens = self.features(self.pixels(frames)).tokens
        return super().tokens(frames) if tokens is None else tokens
