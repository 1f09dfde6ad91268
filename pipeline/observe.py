"""What an acting agent sees of its environment: observations turned into what the stored embeddings hold."""

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pipeline.encoders.area import shrunk
from pipeline.encoders.registry import info_of
from pipeline.params import Params
from trainers.protocols import Observation


class ObservationEncoder:
    """Satisfies `trainers.protocols.ObservationEncoder`; `needs_image` says whether environments must render for it."""

    def __init__(
        self, key: str, shape: tuple[int, ...], dtype: str, embed: Callable[[NDArray[Any]], NDArray[Any]] | None
    ) -> None:
        """
        Args:
            key: of the observation that is read, `state` or `image`.
            shape: of one embedding.
            dtype: of stored embeddings; float16 vectors are rounded to it, and given as float32.
            embed: uint8 [B, H, W, 3] -> [B, *shape]; None where the observation itself is the embedding.
        """
        self.shape = shape
        self.needs_image = key == "image"
        self._key, self._stored, self._embed = key, np.dtype(dtype), embed

    def __call__(self, observations: list[Observation]) -> NDArray[Any]:
        """[B, *shape], float32 (vectors) or uint8 (frames)."""
        values = np.stack([observation[self._key] for observation in observations])
        if self._embed is not None:
            values = self._embed(values)
        if self._stored.kind == "f":
            values = values.astype(self._stored).astype(np.float32)
        return values


def open_observation_encoder(p: Params, encoder: str, task: str, shape: tuple[int, ...], dtype: str) -> ObservationEncoder:
    """The representation `encoder` as `encode` applied it to the stored frames.

    Args:
        p: parameters.
        encoder: its name.
        task: whose in-domain weights are used.
        shape, dtype: of the stored embeddings.

    Raises:
        UserError: its weights are missing, altered or of another encoder.
    """
    info = info_of(encoder)
    if info is not None and info.stores == "observation":
        return ObservationEncoder("state", shape, dtype, None)
    if info is not None and info.stores == "frame":
        side = info.side
        return ObservationEncoder("image", shape, dtype, None if side is None else lambda frames: shrunk(frames, side))
    from pipeline.frozen import open_encoder

    frozen, _ = open_encoder(p, encoder, task)
    return ObservationEncoder("image", shape, dtype, lambda frames: frozen.embed(frames).cpu().numpy())
