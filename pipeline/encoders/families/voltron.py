"""Voltron V-Cond: masked pixels conditioned on language. Own network file; DistilBERT comes from transformers.

Upstream: siddk/voltron-robotics (`voltron/models/core/vcond.py`, `voltron/models/util/transformer.py`, `materialize.py`). The
vector is the mean of the 196 image tokens, computed beside the null sentence; the authors train an attention pool downstream
instead.
"""

from typing import TYPE_CHECKING

from pipeline.encoders.entry import EncoderInfo, Entry, Preprocess, Source

if TYPE_CHECKING:
    from pipeline.encoders.entry import State
    from pipeline.encoders.networks.network import Network


def _network() -> "Network":
    from pipeline.encoders.networks.voltron import Voltron

    return Voltron()


def _keys(state: "State", network: "Network") -> "State":
    from pipeline.encoders.keys import without

    return without(state, "mask_token", "decoder_", "encoder2decoder", r"lm\.embeddings\.position_ids")


ENTRIES = (
    Entry(
        EncoderInfo(
            "voltron_vcond_s",
            384,
            "ViT-S/16",
            "language-conditioned masked pixels",
            "Something-Something-v2",
            220_847,
            language=True,
            licence="MIT",
            made_here=False,
            grid=(14, 14, 384),
        ),
        Preprocess(resize=224, crop=224, filter="bilinear", backend="rounded"),
        Source("v-cond.pt", "the ids in voltron/models/materialize.py of GitHub siddk/voltron-robotics"),
        _network,
        _keys,
        ("families/voltron.py", "keys.py", "networks/voltron.py"),
    ),
)
