"""What goes into a world model and what comes out."""

from collections.abc import Callable, Iterable, Iterator
from typing import NamedTuple

from torch import Tensor


class State(NamedTuple):
    """Latent state.

    Attributes:
        deter: float [..., deter].
        stoch: float [..., S, K], one-hot samples; all zeros in the initial state.
    """

    deter: Tensor
    stoch: Tensor


class Batch(NamedTuple):
    """Windows of trajectories.

    Attributes:
        observation: [B, L, *observation_shape], float (vectors) or uint8 (frames).
        action: float [B, L, A], the action that led to each row.
        reward: float [B, L], arrives with each row.
        is_first, is_terminal: bool [B, L].
        frames: uint8 [B, L, H, W, 3], where latents of vectors must reconstruct them.
    """

    observation: Tensor
    action: Tensor
    reward: Tensor
    is_first: Tensor
    is_terminal: Tensor
    frames: Tensor | None = None


def each(change: Callable[[Tensor], Tensor], values: Iterable[Tensor | None]) -> Iterator[Tensor | None]:
    """`change` of every tensor of a batch, or of rows; what is not there stays so."""
    return (None if tensor is None else change(tensor) for tensor in values)


class Noise(NamedTuple):
    """What the filter of windows samples its latents with.

    Attributes:
        latents: float [L, B, S, K], exponentially distributed: argmax p / e is a sample of p (the exponential race).
    """

    latents: Tensor

    def share(self, rank: int, world: int) -> "Noise":
        """Of every `world`-th window from `rank` on."""
        return Noise(self.latents[:, rank::world])


class Posterior(NamedTuple):
    """A filtered window.

    Attributes:
        states: State of [B, L, ...].
        post_logits, prior_logits: float [B, L, S, K], log-probabilities with the uniform mixture already in them.
    """

    states: State
    post_logits: Tensor
    prior_logits: Tensor
