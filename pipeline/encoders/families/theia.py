"""Theia: several vision models distilled into one small ViT. Native in timm, from the authors' file in transformers' ViT layout.

Upstream: bdaiinstitute/theia (`foundation_models`, `models/rvfm.py`). The authors use the 196 spatial tokens, never the class
token; a vector is their mean.
"""

from functools import partial
from typing import TYPE_CHECKING

from pipeline.encoders.entry import EncoderInfo, Entry, Preprocess, Source

if TYPE_CHECKING:
    from pipeline.encoders.entry import State
    from pipeline.encoders.networks.network import Network

_CODE = ("families/theia.py", "keys.py", "networks/vit.py")


def _vit(size: str) -> "Network":
    from torch import nn

    from pipeline.encoders.networks.vit import Vit
    from pipeline.encoders.torchvision_ops import create_timm

    return Vit(create_timm(f"vit_{size}_patch16_224", num_classes=0, norm_layer=partial(nn.LayerNorm, eps=1e-12)), "mean")


def _keys(state: "State", network: "Network") -> "State":
    from pipeline.encoders.keys import from_transformers, rename, under, without

    state = from_transformers(under(without(state, r"translator\."), "backbone.model."), "encoder.layer")
    return rename(
        without(state, r"pooler\.", r"embeddings\.mask_token"),
        (
            (r"^embeddings\.cls_token$", "cls_token"),
            (r"^embeddings\.position_embeddings$", "pos_embed"),
            (r"^embeddings\.patch_embeddings\.projection\.", "patch_embed.proj."),
            (r"^layernorm\.", "norm."),
        ),
    )


def _theia(size: str, letter: str, dim: int) -> Entry:
    info = EncoderInfo(
        f"theia_{size}",
        dim,
        f"ViT-{letter}/16",
        "multi-teacher distillation",
        "ImageNet-1k",
        1_281_167,
        licence="The AI Institute, non-commercial",
        made_here=False,
        grid=(14, 14, dim),
    )
    hub = f"theaiinstitute/theia-{size}-patch16-224-cdiv"
    source = Source("model.safetensors", f"{hub} on the Hugging Face hub", hub=hub, hub_file="model.safetensors")
    return Entry(info, Preprocess(resize=256, square=True, crop=224), source, lambda: _vit(size), _keys, _CODE)


ENTRIES = (_theia("tiny", "Ti", 192), _theia("small", "S", 384), _theia("base", "B", 768))
