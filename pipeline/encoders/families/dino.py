"""DINO, DINOv2 (with and without registers) and DINOv3: self-distilled vision transformers, native in timm.

Upstream: facebookresearch/dino, facebookresearch/dinov2, facebookresearch/dinov3 (`hubconf.py` and the backbones it names).
"""

from typing import TYPE_CHECKING, Any

from pipeline.encoders.entry import EncoderInfo, Entry, Preprocess, Source

if TYPE_CHECKING:
    from pipeline.encoders.entry import State
    from pipeline.encoders.networks.network import Network

_CODE = ("families/dino.py", "keys.py", "networks/vit.py")
_CROP = Preprocess(resize=256, crop=224)


def _vit(timm_name: str, **options: Any) -> "Network":
    from pipeline.encoders.networks.vit import Vit
    from pipeline.encoders.torchvision_ops import create_timm

    return Vit(create_timm(timm_name, num_classes=0, **options), "cls")


def _dino_keys(state: "State", network: "Network") -> "State":
    from pipeline.encoders.keys import stripped, without

    return without(stripped(stripped(state, "module."), "backbone."), r"head\.")


def _dinov2_keys(state: "State", network: "Network") -> "State":
    """Upstream interpolates the 37 x 37 positions at run time, in two ways; done once here, before timm can do it in a third.

    Without registers: bicubic by the factor 16.1 / 37, no antialiasing. With registers: bicubic to 16 x 16, antialiased.
    """
    from pipeline.encoders.keys import rename, without
    from pipeline.encoders.networks.vit import resize_positions

    state = rename(without(state, "mask_token"), ((r"mlp\.w12\.", "mlp.fc1."), (r"mlp\.w3\.", "mlp.fc2.")))
    registers = state.pop("register_tokens", None)
    if "pos_embed" in state and state["pos_embed"].shape[1] > 257:
        how: dict[str, Any] = {"size": (16, 16), "antialias": True} if registers is not None else {"scale_factor": 16.1 / 37}
        state["pos_embed"] = resize_positions(state["pos_embed"], 16, mode="bicubic", **how)
    if registers is not None:  # timm's registers carry no position, and its class token has its own added
        state["reg_token"] = registers
        state["cls_token"] = state["cls_token"] + state["pos_embed"][:, :1]
        state["pos_embed"] = state["pos_embed"][:, 1:]
    return state


def _dinov3_keys(state: "State", network: "Network") -> "State":
    """qkv biases apart, the key's left out (upstream masks it); the rotary periods are recomputed."""
    from pipeline.encoders.keys import rename, without

    state = without(state, "mask_token", r"rope_embed\.", r".*\.bias_mask$")
    state = rename(state, (("^storage_tokens$", "reg_token"), (r"ls([12])\.gamma", r"gamma_\1")))
    for key in [key for key in state if key.endswith("attn.qkv.bias")]:
        q, _, v = state.pop(key).chunk(3)
        state[key.replace("qkv.bias", "q_bias")], state[key.replace("qkv.bias", "v_bias")] = q, v
    return state


def _dino(name: str, timm_name: str, file: str, dim: int) -> Entry:
    info = EncoderInfo(
        name,
        dim,
        f"ViT-{'S' if dim == 384 else 'B'}/16",
        "self-distillation",
        "ImageNet-1k",
        1_281_167,
        made_here=False,
        grid=(14, 14, dim),
    )
    source = Source(
        file, "the README of GitHub facebookresearch/dino", hub=f"timm/{timm_name}.dino", hub_file="model.safetensors"
    )
    return Entry(info, _CROP, source, lambda: _vit(timm_name), _dino_keys, _CODE)


def _dinov2(size: str, letter: str, dim: int, registers: bool, aliases: tuple[str, ...] = ()) -> Entry:
    name, timm_name = (
        f"dinov2_vit{letter}14" + ("_reg" if registers else ""),
        f"vit_{size}_patch14_{'reg4_' if registers else ''}dinov2",
    )
    info = EncoderInfo(
        name,
        dim,
        f"ViT-{letter.upper()}/14" + (" + 4 registers" if registers else ""),
        "self-distillation + masked latents",
        "LVD-142M",
        142_000_000,
        made_here=False,
        aliases=aliases,
        grid=(16, 16, dim),
    )
    source = Source(
        f"dinov2_vit{letter}14{'_reg4' if registers else ''}_pretrain.pth",
        "the README of GitHub facebookresearch/dinov2",
        hub=None if registers else f"timm/{timm_name}.lvd142m",
        hub_file="model.safetensors",
    )
    return Entry(info, _CROP, source, lambda: _vit(timm_name, img_size=224), _dinov2_keys, _CODE)


def _dinov3(size: str, letter: str, dim: int, digits: str) -> Entry:
    name = f"dinov3_vit{letter}16"
    info = EncoderInfo(
        name,
        dim,
        f"ViT-{letter.upper()}/16, rotary, 4 registers",
        "self-distillation + masked latents",
        "LVD-1689M",
        1_689_000_000,
        licence="DINOv3 License",
        made_here=False,
        grid=(16, 16, dim),
    )
    source = Source(
        f"{name}_pretrain_lvd1689m-{digits}.pth",
        "the README of GitHub facebookresearch/dinov3 (its licence must be accepted there)",
        sha256=digits,
    )
    how = Preprocess(resize=256, square=True, filter="bilinear", backend="uint8")
    return Entry(
        info, how, source, lambda: _vit(f"vit_{size}_patch16_dinov3_qkvb", meta=False, img_size=256), _dinov3_keys, _CODE
    )


ENTRIES = (
    _dino("dino_vits16", "vit_small_patch16_224", "dino_deitsmall16_pretrain.pth", 384),
    _dino("dino_vitb16", "vit_base_patch16_224", "dino_vitbase16_pretrain.pth", 768),
    _dinov2("small", "s", 384, False),
    _dinov2("base", "b", 768, False),
    _dinov2("large", "l", 1024, False),
    _dinov2("giant", "g", 1536, False, aliases=("dinov2",)),
    _dinov2("small", "s", 384, True),
    _dinov2("base", "b", 768, True),
    _dinov3("small", "s", 384, "08c60483"),
    _dinov3("base", "b", 768, "73cec8be"),
    _dinov3("large", "l", 1024, "8aa4cbdd"),
)
