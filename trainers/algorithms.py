"""The algorithms that can be trained offline, by the name that params.yaml uses. Each is an object with the same few methods."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal, Protocol, TypeVar

import torch

from datasets.errors import UserError
from trainers import models
from trainers.dinowm.config import Config as DinoWmConfig
from trainers.dinowm.config import Settings as DinoWmSettings
from trainers.dinowm.model import DinoWm
from trainers.tdmpc2.config import Config, Settings
from trainers.tdmpc2.model import TDMPC2
from trainers.worldmodel import LossScales, ModelConfig, WorldModel
from trainers.worldmodel.config import Adapter, Decoder

C = TypeVar("C", bound=models.Config)


@dataclass(frozen=True)
class Sizes:
    """What `params.yaml` says about models; each algorithm reads its own part.

    Attributes:
        rssm, loss, adapter, decoder: DreamerV3's sizes, weights of the losses, how vectors are read and reconstructed.
        tdmpc2: TD-MPC2's.
        dinowm: DINO-WM's.
    """

    rssm: Mapping[str, int]
    loss: LossScales
    adapter: Adapter
    decoder: Decoder
    tdmpc2: Settings
    dinowm: DinoWmSettings


class Algorithm(Protocol[C]):
    """How a model is described, built and described again from a checkpoint."""

    def configure(self, shape: tuple[int, ...], dtype: torch.dtype, action_dim: int, sizes: Sizes) -> C:
        """The configuration for observations [..., *shape] of a stored dtype."""
        ...

    def build(self, config: C) -> models.Model:
        """A freshly initialised model (torch's generator)."""
        ...

    def parse(self, config: Mapping[str, Any]) -> C:
        """A configuration as a checkpoint carries it."""
        ...


class DreamerV3:
    """World model of arXiv 2301.04104 v2."""

    def configure(self, shape: tuple[int, ...], dtype: torch.dtype, action_dim: int, sizes: Sizes) -> ModelConfig:
        kind: Literal["vector", "pixels"] = "pixels" if dtype == torch.uint8 else "vector"
        return ModelConfig(kind, shape, action_dim, **sizes.rssm, loss=sizes.loss, adapter=sizes.adapter, decoder=sizes.decoder)

    def build(self, config: ModelConfig) -> models.Model:
        return WorldModel(config)

    def parse(self, config: Mapping[str, Any]) -> ModelConfig:
        return ModelConfig.from_json(config)


class TdMpc2:
    """World model of arXiv 2310.16828."""

    def configure(self, shape: tuple[int, ...], dtype: torch.dtype, action_dim: int, sizes: Sizes) -> Config:
        return Config("pixels" if dtype == torch.uint8 else "vector", shape, action_dim, sizes.tdmpc2)

    def build(self, config: Config) -> models.Model:
        return TDMPC2(config)

    def parse(self, config: Mapping[str, Any]) -> Config:
        return Config.from_json(config)


class DinoWmPredictor:
    """Predictor of arXiv 2411.04983, with a reward head."""

    def configure(self, shape: tuple[int, ...], dtype: torch.dtype, action_dim: int, sizes: Sizes) -> DinoWmConfig:
        return DinoWmConfig(shape, action_dim, shape[0] // _SQUARES if dtype == torch.uint8 else None, sizes.dinowm)

    def build(self, config: DinoWmConfig) -> models.Model:
        return DinoWm(config)

    def parse(self, config: Mapping[str, Any]) -> DinoWmConfig:
        return DinoWmConfig.from_json(config)


_SQUARES = 8  # tokens along a side of a raw frame
_ALGORITHMS: dict[str, Algorithm[Any]] = {"dreamerv3": DreamerV3(), "tdmpc2": TdMpc2(), "dinowm": DinoWmPredictor()}


def algorithm(name: str) -> Algorithm[Any]:
    """The algorithm of that name.

    Raises:
        UserError: unknown.
    """
    if name not in _ALGORITHMS:
        raise UserError(f"algorithm: unknown algorithm {name!r}; known: {', '.join(_ALGORITHMS)}")
    return _ALGORITHMS[name]
