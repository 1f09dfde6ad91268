"""Sizes and loss weights of a world model, JSON-able so that a checkpoint carries them."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any, Literal


@dataclass(frozen=True)
class LossScales:
    """Weights of the loss terms (DreamerV3, equations 4 and 5)."""

    prediction: float = 1.0  # decoder
    reward: float = 1.0
    continue_: float = 1.0
    dynamics: float = 1.0
    representation: float = 0.1
    free_nats: float = 1.0


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
        units: width of the reward, continue and decoder heads.
        loss: weights of the loss terms.
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

    def to_json(self) -> dict[str, Any]:
        """Plain dicts, lists and numbers."""
        values = asdict(self)
        values["observation_shape"] = list(self.observation_shape)
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
