"""What the offline loop and the evaluation ask of a model, stated structurally: DreamerV3's and TD-MPC2's satisfy both."""

from collections.abc import Callable, Iterator, Mapping
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol, TypeVar

import torch
from torch import Tensor, nn

if TYPE_CHECKING:
    from trainers.worldmodel.types import Batch

S = TypeVar("S", bound=tuple[Tensor, ...])  # a model's state: a NamedTuple of tensors that share their first axes
Metrics = dict[str, Tensor]
ROWS_AT_ONCE = 512  # read together, so that frames fit in the cache


class Group(NamedTuple):
    """Parameters that learn at one rate.

    Attributes:
        rate: over the loop's learning rate.
        eps: Adam's.
    """

    parameters: list[nn.Parameter]
    rate: float = 1.0
    eps: float = 1e-8


class Loss(NamedTuple):
    """A loss to be minimised.

    Attributes:
        value: scalar, with its graph.
        metrics: detached scalars by name, still on the device.
        carried: tensors that the update's next loss is handed.
    """

    value: Tensor
    metrics: Metrics
    carried: Any = ()


class Noise(Protocol):
    """All that is random in an update: a (named) tuple of tensors."""

    def share(self, rank: int, world: int) -> Any:
        """Of every `world`-th window from `rank` on."""
        ...


class Config(Protocol):
    """A model's configuration, as a checkpoint carries it: a frozen dataclass."""

    @property
    def observation_shape(self) -> tuple[int, ...]:
        """Of one row."""
        ...

    def to_json(self) -> dict[str, Any]:
        """Plain dicts, lists and numbers."""
        ...


class Trainable(Protocol):
    """A model that the offline loop trains; all that it learns, targets and running statistics included, is in its state_dict."""

    def named_parameters(self) -> Iterator[tuple[str, nn.Parameter]]:
        """As `nn.Module` has them."""
        ...

    @property
    def limits(self) -> Mapping[str, float]:
        """Metrics whose mean stays below a value in any model that learns: above it training has diverged."""
        ...

    def standardise(self, rows: Tensor, frames: Tensor | None = None) -> None:
        """Fix, before training, what observations are standardised with, from training rows [n, *observation_shape].

        The rows' frames [n, H, W, 3] are given where `Batch.frames` are.
        """
        ...

    def groups(self) -> dict[str, list[Group]]:
        """By loss, in the order that an update minimises them: the parameters that its optimiser steps."""
        ...

    def draw(self, windows: int, length: int, generator: torch.Generator | None = None) -> Any:
        """The `Noise` of an update on windows [B, L]."""
        ...

    def minimised(self, of: str, batch: "Batch", noise: Any, carried: Any) -> Loss:
        """One entry of `groups`: its loss, given its noise and what the loss before carried.

        It runs for several models at once under `torch.func.vmap`, and within a CUDA graph: no choice in it depends on values.
        """
        ...

    def settle(self) -> None:
        """What follows the last loss of an update, without gradients, in place."""
        ...

    def state_dict(self) -> dict[str, Any]:
        """Weights and buffers by name."""
        ...

    def load_state_dict(self, state_dict: Mapping[str, Any]) -> Any:
        """The inverse of `state_dict`."""
        ...


class Predictor(Protocol[S]):
    """A model that can be evaluated. States are S of [..., *]; the reward of row t is read from the state at row t."""

    def filter(self, observation: Tensor, index: Tensor, action: Tensor, is_first: Tensor) -> S:
        """States [B, L, ...] of whole episodes, each given what is observed up to its row. No noise: equal inputs, equal outputs.

        Args:
            observation: stored values [T, *observation_shape].
            index: int64 [B, L], the rows of each episode.
            action: float [B, L, A], led to each row.
            is_first: bool [B, L].
        """
        ...

    def filter_with_kl(self, observation: Tensor, index: Tensor, action: Tensor, is_first: Tensor) -> tuple[S, Tensor | None]:
        """`filter`, and KL(posterior || prior) of each row's latent in nats, [B, L]; None where latents are not random."""
        ...

    def imagine_step(self, state: S, action: Tensor, sample: bool) -> S:
        """One step without observation: state [n, ...], action [n, A] -> state [n, ...]."""
        ...

    def expected_reward(self, state: S) -> Tensor:
        """Predicted reward [...] of states [..., *]."""
        ...

    def reward_quantiles(self, state: S, levels: Tensor) -> Tensor:
        """Quantiles [..., Q] of the predicted reward of states [..., *], at levels [Q] (`trainers.quantiles`)."""
        ...

    def latent_error(self, imagined: S, encoded: S) -> Tensor | None:
        """Mean squared error [...] of imagined latents, beside those encoded; None of models whose latents are random."""
        ...

    def feature(self, state: S) -> Tensor:
        """What the analysis looks at, [..., F]."""
        ...


class Model(Trainable, Predictor[Any], Protocol):
    """Both, and what a checkpoint needs."""

    @property
    def config(self) -> Config:
        """What it was built from."""
        ...

    def eval(self) -> "Model":
        """Itself, in evaluation mode."""
        ...


def read_rows(read: Callable[[Tensor], Tensor], observation: Tensor, rows: Tensor, at_once: int = ROWS_AT_ONCE) -> Tensor:
    """`read` of stored values at int64 rows [n, ...], a few at a time: [n, *]."""
    return torch.cat([read(observation[part]) for part in rows.split(at_once)])
