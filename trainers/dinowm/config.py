"""Sizes of a DINO-WM predictor, JSON-able so that a checkpoint carries them."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any


@dataclass(frozen=True)
class Settings:
    """What a study chooses; defaults are upstream's (conf/train.yaml, conf/predictor/vit.yaml).

    Attributes:
        frames: H, frames of context.
        action_width: channels that the action adds to every token.
        depth, heads, head_width, mlp: of the transformer.
        reward: weight of the reward loss, which upstream does not have.
    """

    frames: int = 3
    action_width: int = 10
    depth: int = 6
    heads: int = 16
    head_width: int = 64
    mlp: int = 2048
    reward: float = 1.0


@dataclass(frozen=True)
class Config:
    """Everything that fixes the parameters' shapes and the loss.

    Attributes:
        observation_shape: (h, w, D) of tokens; (D,) of one vector, which is one token; (H, W, 3) of frames.
        action_dim: A.
        patch: side in pixels of the squares of a frame that are its tokens; None where tokens or vectors are stored.
        settings: of the predictor.
    """

    observation_shape: tuple[int, ...]
    action_dim: int
    patch: int | None = None
    settings: Settings = field(default_factory=Settings)

    @property
    def patches(self) -> int:
        """P, tokens of a frame."""
        if len(self.observation_shape) == 1:
            return 1
        height, width, _ = self.observation_shape
        return height * width // (self.patch or 1) ** 2

    @property
    def channels(self) -> int:
        """D, of a token."""
        return self.observation_shape[-1] * (self.patch or 1) ** 2

    @property
    def width(self) -> int:
        """Channels of a token and its action."""
        return self.channels + self.settings.action_width

    def to_json(self) -> dict[str, Any]:
        """Plain dicts, lists and numbers."""
        return asdict(self) | {"observation_shape": list(self.observation_shape)}

    @classmethod
    def from_json(cls, values: Mapping[str, Any]) -> "Config":
        """The inverse of `to_json`.

        Raises:
            TypeError, KeyError: the values are not a predictor's configuration.
        """
        rest = {**values}
        shape, settings = tuple(rest.pop("observation_shape")), Settings(**rest.pop("settings"))
        return cls(observation_shape=shape, settings=settings, **rest)
