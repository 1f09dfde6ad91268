"""RADIO v2.5: an agglomerative model, native in timm once its patch generator's tensors are put in timm's form.

Upstream: NVlabs/RADIO (`hubconf.py`, `radio/vit_patch_generator.py`, `radio/radio_model.py`). Its file is a pickle with the
training's settings beside the weights; where those name classes of other libraries, `python -m pipeline.encoders.convert` keeps
the tensors. The patch embedding is a linear map of flattened patches (a convolution, reshaped); its 128 x 128 positions are
interpolated bilinearly; one class token per teacher and registers stand before the patches, without positions; there is no last
norm. The vector is the tokens of the teachers that have a summary (CLIP, SigLIP, DINOv2; SAM has none), side by side.
"""

from typing import TYPE_CHECKING

from pipeline.encoders.entry import CLIP, EncoderInfo, Entry, Preprocess, Source

if TYPE_CHECKING:
    from pipeline.encoders.entry import State
    from pipeline.encoders.networks.network import Network

_TOKENS = 8  # four class tokens, four registers
_SUMMARY = 3


def _vit() -> "Network":
    from torch import nn

    from pipeline.encoders.networks.vit import Vit
    from pipeline.encoders.torchvision_ops import create_timm

    body = create_timm("vit_base_patch16_224", num_classes=0, reg_tokens=_TOKENS - 1, no_embed_class=True)
    body.norm = nn.Identity()
    return Vit(body, "summary", summary=_SUMMARY)


def _keys(state: "State", network: "Network") -> "State":
    import torch

    from pipeline.encoders.keys import stripped, without
    from pipeline.encoders.networks.vit import resize_positions

    state = stripped(stripped(stripped(state, "base_model."), "radio_model."), "model.")
    state = without(
        state, "input_conditioner", "summary_idxs", "_heads", "_feature_projections", "adaptors", r"norm\.", r"head\."
    )
    generator = {
        key.removeprefix("patch_generator."): state.pop(key) for key in list(state) if key.startswith("patch_generator.")
    }
    if (tokens := generator.pop("cls_token.token", None)) is not None:  # [tokens, D]
        state["cls_token"], state["reg_token"] = tokens[None, :1], tokens[None, 1:]
    if (positions := generator.pop("pos_embed", None)) is not None:  # [1, 128 * 128, D]
        state["pos_embed"] = resize_positions(positions, 14, prefix=0, size=(14, 14), mode="bilinear", align_corners=False)
    if (linear := generator.pop("embedder.weight", None)) is not None:  # [D, 3 * 16 * 16]
        state["patch_embed.proj.weight"] = linear.reshape(len(linear), 3, 16, 16) if linear.shape[1] == 768 else linear
        state["patch_embed.proj.bias"] = torch.zeros(len(linear), device=linear.device)
    return state | generator


ENTRIES = (
    Entry(
        EncoderInfo(
            "radio_v2_5_b",
            2304,
            "ViT-B/16",
            "multi-teacher distillation",
            "DataComp-1B",
            1_000_000_000,
            language=False,
            licence="NVIDIA Source Code License",
            made_here=False,
            grid=(14, 14, 768),
        ),
        Preprocess(resize=224, crop=224, mean=CLIP[0], std=CLIP[1]),
        Source(
            "radio-v2.5-b_half.pth.tar", "nvidia/RADIO on the Hugging Face hub", wrap=("state_dict_ema", "state_dict"), bare=True
        ),
        _vit,
        _keys,
        ("families/radio.py", "keys.py", "networks/vit.py"),
    ),
)
