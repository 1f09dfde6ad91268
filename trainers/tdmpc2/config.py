"""Sizes and constants of a TD-MPC2 world model, JSON-able so that a checkpoint carries them; imports no torch."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any, Literal

GROUP = 8  # dimensions of a simplex (upstream `simnorm_dim`)
BINS, LIMIT = 101, 10.0  # of discrete regression: evenly spaced over [-LIMIT, LIMIT], in symlog
DROPOUT = 0.01  # after the first linear map of every Q function
TAU = 0.01  # share of the Q functions that their target takes in per update, and of a batch that the running scale does
SHIFT = 3  # pixels at most that training frames are moved by (upstream `ShiftAug`)
LOG_STD = (-10.0, 2.0)  # of the policy prior
POLICY_EPS = 1e-5  # of the policy's Adam


@dataclass(frozen=True)
class Sizes:
    """Widths and depths (upstream `common/__init__.py`, MODEL_SIZE; what it leaves out is `config.yaml`'s).

    Attributes:
        encoder, encoder_layers: width and linear maps of the encoder of vectors.
        latent: Z, a multiple of 8.
        mlp: width of dynamics, reward, policy and Q functions, each with two hidden layers.
        q: members of the value ensemble.
        channels: of the encoder of frames.
    """

    encoder: int
    encoder_layers: int
    latent: int
    mlp: int
    q: int = 5
    channels: int = 32


PUBLISHED = {
    "1m": Sizes(encoder=256, encoder_layers=2, latent=128, mlp=384, q=2),
    "5m": Sizes(encoder=256, encoder_layers=2, latent=512, mlp=512),
    "19m": Sizes(encoder=1024, encoder_layers=3, latent=768, mlp=1024),
    "48m": Sizes(encoder=1792, encoder_layers=4, latent=768, mlp=1792),
    "317m": Sizes(encoder=4096, encoder_layers=5, latent=1376, mlp=4096, q=8),
}


@dataclass(frozen=True)
class Scales:
    """Weights of the loss terms (upstream `config.yaml`); `rho` is a step's weight over that of the one before."""

    consistency: float = 20.0
    reward: float = 0.1
    value: float = 0.1
    rho: float = 0.5
    entropy: float = 1e-4


@dataclass(frozen=True)
class Settings:
    """What `params.yaml` says about a model.

    Attributes:
        sizes: widths and depths.
        frames: K, observations stacked into one.
        discount: of a TD target, per agent step.
        encoder_rate: the encoder's learning rate over the others'.
        loss: weights of the loss terms.
    """

    sizes: Sizes
    frames: int = 3
    discount: float = 0.99
    encoder_rate: float = 0.3
    loss: Scales = field(default_factory=Scales)


@dataclass(frozen=True)
class Config:
    """Everything that fixes a model's parameters' shapes and its losses.

    Attributes:
        kind: `vector` (embeddings, states) or `pixels` (uint8 frames).
        observation_shape: (D,) or (H, W, 3), of one row.
        action_dim: A.
    """

    kind: Literal["vector", "pixels"]
    observation_shape: tuple[int, ...]
    action_dim: int
    settings: Settings

    def to_json(self) -> dict[str, Any]:
        """Plain dicts, lists and numbers."""
        return asdict(self) | {"observation_shape": list(self.observation_shape)}

    @classmethod
    def from_json(cls, values: Mapping[str, Any]) -> "Config":
        """The inverse of `to_json`.

        Raises:
            TypeError, KeyError: the values are not a model's configuration.
        """
        rest = dict(values)
        shape, own = tuple(rest.pop("observation_shape")), dict(rest.pop("settings"))
        settings = Settings(Sizes(**own.pop("sizes")), loss=Scales(**own.pop("loss")), **own)
        return cls(observation_shape=shape, settings=settings, **rest)
