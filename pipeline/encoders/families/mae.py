"""MAE and the encoders trained like it: VC-1, MVP, SPA. Plain vision transformers, native in timm, class token after the last
norm.

Upstream: facebookresearch/mae (`models_vit.py`), facebookresearch/eai-vc (`vc_models`), ir413/mvp (`mvp/backbones/vit.py`: its
small network has 12 heads, which no tensor's shape shows), HaoyiZhu/SPA (`spa/models`).
"""

from typing import TYPE_CHECKING, Any

from pipeline.encoders.entry import EncoderInfo, Entry, Preprocess, Source

if TYPE_CHECKING:
    from pipeline.encoders.entry import State
    from pipeline.encoders.networks.network import Network

_CODE = ("families/mae.py", "keys.py", "networks/vit.py")
_CROP = Preprocess(resize=256, crop=224)
_VC1_LARGE: dict[str, Any] = {
    "revision": "8a47f311ef3a8e0b3f58e4249700c9c5b36012c9",
    "hub_sha256": "89d59b6e0fe627ee13dd49011d9e3178fc5749237b3963608213ba210257d79a",
}
_EGO = "Ego4D, 100DOH, SSv2, Epic, OpenHouse24, RealEstate10K, ImageNet"


def _vit(timm_name: str, **options: Any) -> "Network":
    from pipeline.encoders.networks.vit import Vit
    from pipeline.encoders.torchvision_ops import create_timm

    return Vit(create_timm(timm_name, num_classes=0, **options), "cls")


def _keys(state: "State", network: "Network") -> "State":
    from pipeline.encoders.keys import stripped, without

    return without(stripped(state, "module."), r"decoder", r"mask_token$")


def _spa_keys(state: "State", network: "Network") -> "State":
    from pipeline.encoders.keys import under

    return _keys(under(state, "model.img_backbone."), network)


def _entry(info: EncoderInfo, source: Source, timm_name: str, **options: Any) -> Entry:
    return Entry(info, _CROP, source, lambda: _vit(timm_name, **options), _keys, _CODE)


def _vc1(name: str, letter: str, size: str, dim: int, aliases: tuple[str, ...] = ()) -> Entry:
    info = EncoderInfo(
        name,
        dim,
        f"ViT-{letter.upper()}/16",
        "masked pixels",
        _EGO,
        5_621_987,
        licence="CC BY-NC 4.0",
        made_here=False,
        aliases=aliases,
        grid=(14, 14, dim),
    )
    source = Source(
        f"vc1_vit{letter}.pth",
        "the model card of GitHub facebookresearch/eai-vc",
        wrap=("model",),
        hub=f"facebook/vc1-{size}",
        hub_file="pytorch_model.bin",
        **(_VC1_LARGE if letter == "l" else {}),
    )
    return _entry(info, source, f"vit_{size}_patch16_224")


def _mvp(name: str, letter: str, file: str, images: int, data: str, dim: int, **options: Any) -> Entry:
    info = EncoderInfo(
        name,
        dim,
        f"ViT-{letter.upper()}/16",
        "masked pixels",
        data,
        images,
        licence="none stated",
        made_here=False,
        grid=(14, 14, dim),
    )
    source = Source(file, "the README of GitHub ir413/mvp", wrap=("model",))
    return _entry(info, source, f"vit_{'small' if letter == 's' else 'base'}_patch16_224", **options)


ENTRIES = (
    _entry(
        EncoderInfo(
            "mae_vitb",
            768,
            "ViT-B/16",
            "masked pixels",
            "ImageNet-1k",
            1_281_167,
            licence="CC BY-NC 4.0",
            made_here=False,
            grid=(14, 14, 768),
        ),
        Source(
            "mae_pretrain_vit_base.pth",
            "the README of GitHub facebookresearch/mae",
            wrap=("model",),
            bare=True,
            hub="timm/vit_base_patch16_224.mae",
            hub_file="model.safetensors",
        ),
        "vit_base_patch16_224",
    ),
    _vc1("vc1_vitb", "b", "base", 768),
    _vc1("vc1_vitl", "l", "large", 1024, aliases=("vc1",)),
    _mvp("mvp_vits", "s", "vits-mae-hoi.pth", 700_000, "hand-object interaction video", 384, num_heads=12),
    _mvp("mvp_vitb", "b", "vitb-mae-egosoup.pth", 4_500_000, "egocentric video", 768),
    Entry(
        EncoderInfo(
            "spa_vitb",
            768,
            "ViT-B/16",
            "masked pixels + neural rendering",
            "multi-view RGB-D",
            licence="MIT",
            made_here=False,
            grid=(14, 14, 768),
        ),
        Preprocess(resize=256, crop=224, backend="float"),
        Source("spa-b.safetensors", "HaoyiZhu/SPA on the Hugging Face hub", hub="HaoyiZhu/SPA", hub_file="spa-b.safetensors"),
        lambda: _vit("vit_base_patch16_224"),
        _spa_keys,
        _CODE,
    ),
)
