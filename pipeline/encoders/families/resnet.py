"""Residual networks in torchvision's layout, native in timm: R3M, VIP, and the supervised ImageNet one.

Upstream: facebookresearch/r3m (`r3m/models/models_r3m.py`), facebookresearch/vip (`vip/models/model_vip.py`), pytorch/vision.
R3M and VIP scale their input themselves, VIP by a guess from the batch's maximum; here every frame is scaled the same way,
before the network.
"""

from typing import TYPE_CHECKING

from pipeline.encoders.entry import EncoderInfo, Entry, Preprocess, Source

if TYPE_CHECKING:
    from pipeline.encoders.entry import State
    from pipeline.encoders.networks.network import Network

_CODE = ("families/resnet.py", "keys.py", "networks/resnet.py")
_CROP = Preprocess(resize=256, crop=224, filter="bilinear")


def _resnet(timm_name: str, outputs: int = 0) -> "Network":
    from pipeline.encoders.networks.resnet import ResNet
    from pipeline.encoders.torchvision_ops import create_timm

    return ResNet(create_timm(timm_name, num_classes=outputs))


def _keys(state: "State", network: "Network") -> "State":
    """torchvision's file, without the classifier."""
    from pipeline.encoders.keys import without

    return without(state, r"fc\.")


def _convnet_keys(state: "State", network: "Network") -> "State":
    """R3M's or VIP's convolutional network, without R3M's language parts. VIP's `fc` is part of it; R3M has none."""
    from pipeline.encoders.keys import under

    return under(state, "module.convnet.")


def _r3m(depth: int, dim: int, aliases: tuple[str, ...] = ()) -> Entry:
    info = EncoderInfo(
        f"r3m_rn{depth}",
        dim,
        f"ResNet-{depth}",
        "time-contrastive + language alignment + L1",
        "Ego4D",
        language=True,
        temporal=True,
        licence="MIT",
        made_here=False,
        aliases=aliases,
        grid=(7, 7, dim),
    )
    source = Source(f"r3m_{depth}/model.pt", "the links in r3m/__init__.py of GitHub facebookresearch/r3m", wrap=("r3m",))
    return Entry(info, _CROP, source, lambda: _resnet(f"resnet{depth}"), _convnet_keys, _CODE)


ENTRIES = (
    _r3m(18, 512),
    _r3m(34, 512),
    _r3m(50, 2048, aliases=("r3m",)),
    Entry(
        EncoderInfo(
            "vip_rn50",
            1024,
            "ResNet-50 + linear",
            "goal-conditioned value",
            "Ego4D",
            temporal=True,
            licence="CC BY-NC 4.0",
            made_here=False,
            aliases=("vip",),
            grid=(7, 7, 2048),
        ),
        _CROP,
        Source("model.pt", "the link in vip/__init__.py of GitHub facebookresearch/vip", wrap=("vip",)),
        lambda: _resnet("resnet50", 1024),
        _convnet_keys,
        _CODE,
    ),
    Entry(
        EncoderInfo(
            "imagenet_rn50",
            2048,
            "ResNet-50",
            "classification",
            "ImageNet-1k",
            1_281_167,
            licence="BSD-3-Clause",
            made_here=False,
            grid=(7, 7, 2048),
        ),
        _CROP,
        Source(
            "resnet50-0676ba61.pth",
            "the list in torchvision/models/resnet.py of GitHub pytorch/vision",
            hub="timm/resnet50.tv_in1k",
            hub_file="model.safetensors",
            sha256="0676ba61",
        ),
        lambda: _resnet("resnet50"),
        _keys,
        _CODE,
    ),
)
