"""The algorithms that can be trained offline, by the name that params.yaml uses. Each is an object with the same few methods."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Protocol

import torch

from datasets.errors import UserError
from trainers.worldmodel import LossScales, ModelConfig, WorldModel


@dataclass(frozen=True)
class Sizes:
    """What `params.yaml` says about a model: sizes of the RSSM and weights of the losses."""

    rssm: Mapping[str, int]
    loss: LossScales


class Algorithm(Protocol):
    """How a model is described, built and described again from a checkpoint."""

    def configure(self, shape: tuple[int, ...], dtype: torch.dtype, action_dim: int, sizes: Sizes) -> ModelConfig:
        """The configuration for observations [..., *shape] of a stored dtype."""
        ...

    def build(self, config: ModelConfig) -> WorldModel:
        """A freshly initialised model (torch's generator)."""
        ...

    def parse(self, config: Mapping[str, Any]) -> ModelConfig:
        """A configuration as a checkpoint carries it."""
        ...


class DreamerV3:
    """World model of arXiv 2301.04104 v2."""

    def configure(self, shape: tuple[int, ...], dtype: torch.dtype, action_dim: int, sizes: Sizes) -> ModelConfig:
        return ModelConfig("pixels" if dtype == torch.uint8 else "vector", shape, action_dim, **sizes.rssm, loss=sizes.loss)

    def build(self, config: ModelConfig) -> WorldModel:
        return WorldModel(config)

    def parse(self, config: Mapping[str, Any]) -> ModelConfig:
        return ModelConfig.from_json(config)


_ALGORITHMS: dict[str, Algorithm] = {"dreamerv3": DreamerV3()}


def algorithm(name: str) -> Algorithm:
    """The algorithm of that name.

    Raises:
        UserError: unknown.
    """
    if name not in _ALGORITHMS:
        raise UserError(f"algorithm: unknown algorithm {name!r}; known: {', '.join(_ALGORITHMS)}")
    return _ALGORITHMS[name]
