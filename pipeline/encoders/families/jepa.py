"""I-JEPA (native in timm) and V-JEPA 2 (native in transformers): predictors of masked latents, without a class token.

Upstream: facebookresearch/ijepa (`src/models/vision_transformer.py`), facebookresearch/vjepa2 (the same path;
`evals/hub/preprocessor.py`). A vector is the mean of the tokens after the last norm. A still image is a video of the same frame
twice, one tubelet.
"""

from typing import TYPE_CHECKING

from pipeline.encoders.entry import EncoderInfo, Entry, Preprocess, Source

if TYPE_CHECKING:
    from pipeline.encoders.entry import State
    from pipeline.encoders.networks.network import Network


def _ijepa() -> "Network":
    from pipeline.encoders.networks.vit import Vit
    from pipeline.encoders.torchvision_ops import create_timm

    return Vit(create_timm("vit_huge_patch14_gap_224", num_classes=0), "mean")


def _ijepa_keys(state: "State", network: "Network") -> "State":
    from pipeline.encoders.keys import under

    return under(state, "module.")


def _vjepa() -> "Network":
    from pipeline.encoders.networks.vjepa2 import VJepa2

    return VJepa2()


def _vjepa_keys(state: "State", network: "Network") -> "State":
    """The hub's layout (`encoder.*`) as it is; the authors' own file with qkv split and its unused positions dropped."""
    from pipeline.encoders.keys import rename, under, without

    if any(key.startswith("encoder.layer.") for key in state):
        return under(state, "encoder.")
    state = rename(
        without(under(state, "module.backbone."), "pos_embed$"),
        (
            (r"^patch_embed\.", "embeddings.patch_embeddings."),
            (r"^blocks\.", "layer."),
            (r"^norm\.", "layernorm."),
            (r"\.attn\.", ".attention."),
        ),
    )
    for key in [key for key in state if ".attention.qkv." in key]:
        for part, value in zip(("query", "key", "value"), state.pop(key).chunk(3), strict=True):
            state[key.replace(".qkv.", f".{part}.")] = value
    return state


ENTRIES = (
    Entry(
        EncoderInfo(
            "ijepa_vith14",
            1280,
            "ViT-H/14",
            "masked latents",
            "ImageNet-1k",
            1_281_167,
            licence="CC BY-NC 4.0",
            made_here=False,
            grid=(16, 16, 1280),
        ),
        Preprocess(resize=256, crop=224),
        Source("IN1K-vit.h.14-300e.pth.tar", "the README of GitHub facebookresearch/ijepa", wrap=("target_encoder",)),
        _ijepa,
        _ijepa_keys,
        ("families/jepa.py", "keys.py", "networks/vit.py"),
    ),
    Entry(
        EncoderInfo(
            "vjepa2_vitl",
            1024,
            "ViT-L/16, tubelets, 3D rotary",
            "masked video latents",
            "VideoMix-22M",
            22_000_000,
            temporal=True,
            licence="MIT",
            made_here=False,
            grid=(16, 16, 1024),
        ),
        Preprocess(resize=292, crop=256, filter="bilinear"),
        Source(
            "vitl.pt",
            "the README of GitHub facebookresearch/vjepa2",
            wrap=("encoder",),
            bare=True,
            hub="facebook/vjepa2-vitl-fpc64-256",
            hub_file="model.safetensors",
        ),
        _vjepa,
        _vjepa_keys,
        ("families/jepa.py", "keys.py", "networks/vjepa2.py"),
    ),
)
