"""A frozen encoder as params.yaml and `pretrain` decided it."""

from typing import TYPE_CHECKING

from pipeline.params import Params
from pipeline.weights import resolve_weights

if TYPE_CHECKING:
    from pipeline.encoders.base import Encoder


def open_encoder(p: Params, encoder: str, task: str) -> "tuple[Encoder, str | None]":
    """A frozen encoder, registered or `custom`, with the weights that `pretrain` made or resolved, and their sha256.

    Raises:
        UserError: its weights are missing, altered or of another encoder.
    """
    from pipeline.encoders import load_encoder
    from pipeline.encoders.custom import load_custom

    file, sha256 = resolve_weights(encoder, task)
    if custom := p.custom.get(encoder):
        opened = load_custom(encoder, custom.base, custom.layer, custom.pooling, file, p.compute.device)
    else:
        opened = load_encoder(encoder, file, p.compute.device)
    opened.run_as(p.encode.precision, p.encode.compile)
    return opened, sha256
