"""The supervised ImageNet vision transformer (timm's AugReg, pre-trained on ImageNet-21k), in timm's own layout."""

from typing import TYPE_CHECKING

from pipeline.encoders.entry import HALF, EncoderInfo, Entry, Preprocess, Source

if TYPE_CHECKING:
    from pipeline.encoders.entry import State
    from pipeline.encoders.networks.network import Network


def _vit() -> "Network":
    from pipeline.encoders.networks.vit import Vit
    from pipeline.encoders.torchvision_ops import create_timm

    return Vit(create_timm("vit_base_patch16_224", num_classes=0), "cls")


def _keys(state: "State", network: "Network") -> "State":
    from pipeline.encoders.keys import without

    return without(state, r"head\.")


_HUB = "timm/vit_base_patch16_224.augreg_in21k_ft_in1k"
ENTRIES = (
    Entry(
        EncoderInfo(
            "imagenet_vitb16",
            768,
            "ViT-B/16",
            "classification",
            "ImageNet-21k, then ImageNet-1k",
            14_197_122,
            made_here=False,
            grid=(14, 14, 768),
        ),
        Preprocess(resize=248, crop=224, mean=HALF[0], std=HALF[1]),
        Source("model.safetensors", f"{_HUB} on the Hugging Face hub", hub=_HUB, hub_file="model.safetensors"),
        _vit,
        _keys,
        ("families/supervised.py", "keys.py", "networks/vit.py"),
    ),
)
