"""Where what a model imagines is compared with what the data show: the space that the model predicts, by kind of model."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import singledispatch
from typing import Any

from torch import Tensor

from trainers.dinowm.model import DinoWm, last_tokens
from trainers.models import Predictor
from trainers.worldmodel.model import WorldModel
from trainers.worldmodel.observation import FrameObservation, scaled
from trainers.worldmodel.vision import shrunk


@dataclass(frozen=True)
class Space:
    """A space in which Euclidean distances are taken.

    Attributes:
        name: embedding, frame, tokens or latent.
        of_state: a model's states [n, ...] -> float [n, D].
        of_row: stored values [n, *observation_shape] -> float [n, D]; None: a row is what `of_state` makes of its filtered state.
    """

    name: str
    of_state: Callable[[Any], Tensor]
    of_row: Callable[[Tensor], Tensor] | None = None


@singledispatch
def space_of(model: Predictor[Any]) -> Space:
    """What the model predicts; its latents, if nothing else is known of it (TD-MPC2, and models without a decoder)."""
    return Space("latent", model.feature)


@space_of.register
def _dreamerv3(model: WorldModel) -> Space:
    """What the decoder reconstructs, as its loss compares it: standardised and symlogged vectors, standardised 16 x 16 frames.

    A decoder of frames that are not what the model reads is not used: its latents are compared.
    """
    observation = model.observation
    decoder = observation.decoder
    if decoder is None:
        return Space("latent", model.feature)

    def of_state(state: Any) -> Tensor:
        made: Tensor = decoder(model.feature(state))
        return made.flatten(1)

    if isinstance(observation, FrameObservation):
        mean, std = observation.mean, observation.std
        return Space("frame", of_state, lambda frames: ((shrunk(scaled(frames)) - mean) / std).flatten(1))
    return Space("embedding", of_state, observation.prepare)


@space_of.register
def _dinowm(model: DinoWm) -> Space:
    """Standardised tokens: of the frame that was predicted, and of the one that is there."""
    return Space("tokens", lambda state: last_tokens(state).flatten(1), lambda rows: model.embed(rows).flatten(1))
