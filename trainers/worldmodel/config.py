"""Sizes and loss weights of a world model, JSON-able so that a checkpoint carries them."""

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any, Literal

Adapter = Literal["linear", "mlp"]
Decoder = Literal["embedding", "pixels", "none"]


@dataclass(frozen=True)
class LossScales:
    """Weights of the loss terms (DreamerV3, equations 4 and 5), and of two in place of reconstruction or beside it."""

    prediction: float = 1.0  # decoder
    reward: float = 1.0
    continue_: float = 1.0
    dynamics: float = 1.0
    representation: float = 0.1
    free_nats: float = 1.0
    infonce: float = 0.0
    barlow: float = 0.0


@dataclass(frozen=True)
class ModelConfig:
    """Everything that fixes a world model's parameters' shapes and its loss.

    Attributes:
        kind: `vector` (embeddings, states) or `pixels` (uint8 frames).
        observation_shape: (D,) or (H, W, 3).
        action_dim: A.
        deter: size of the recurrent state, a multiple of `blocks`.
        hidden: width of the projections into and out of the recurrent state, and of the adapter.
        stoch, classes: S variables of K classes.
        blocks: blocks of the block-diagonal recurrent weights.
        units: width of the reward, continue and decoder heads, and of an `mlp` adapter.
        loss: weights of the loss terms.
        adapter: what reads vectors: one linear map, or DreamerV3's three layers.
        decoder: what latents must reconstruct: what was read; the frame, whatever was read; or nothing.
    """

    kind: Literal["vector", "pixels"]
    observation_shape: tuple[int, ...]
    action_dim: int
    deter: int = 128
    hidden: int = 128
    stoch: int = 16
    classes: int = 16
    blocks: int = 8
    units: int = 128
    loss: LossScales = field(default_factory=LossScales)
    adapter: Adapter = "linear"
    decoder: Decoder = "embedding"

    @property
    def needs_frames(self) -> bool:
        """Whether batches must hold frames beside what is read."""
        return self.kind == "vector" and self.decoder == "pixels"

    def to_json(self) -> dict[str, Any]:
        """Plain dicts, lists and numbers.

        Strings are new objects: pickle writes one that it has met as a reference, so a checkpoint's bytes would depend on
        which of them a process happens to share.
        """
        values: dict[str, Any] = json.loads(json.dumps(asdict(self)))
        return values

    @classmethod
    def from_json(cls, values: Mapping[str, Any]) -> "ModelConfig":
        """The inverse of `to_json`.

        Raises:
            TypeError, KeyError: the values are not a model's configuration.
        """
        rest = dict(values)
        shape, loss = tuple(rest.pop("observation_shape")), LossScales(**rest.pop("loss"))
        return cls(observation_shape=shape, loss=loss, **rest)
