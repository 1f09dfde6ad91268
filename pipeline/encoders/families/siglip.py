"""SigLIP and SigLIP 2 (the fixed-resolution kind, of the same layout): native in timm, from transformers' file.

Upstream: google-research/big_vision (JAX); weights as converted on the Hugging Face hub by google. The GELU is its tanh form.
SigLIP's image processor resamples bicubically, SigLIP 2's bilinearly (transformers' `convert_siglip_to_hf.py`).
"""

from typing import TYPE_CHECKING, Literal

from pipeline.encoders.entry import HALF, EncoderInfo, Entry, Preprocess, Source

if TYPE_CHECKING:
    from pipeline.encoders.entry import State
    from pipeline.encoders.networks.network import Network

_CODE = ("families/siglip.py", "keys.py", "networks/vit.py")


def _vit() -> "Network":
    from pipeline.encoders.networks.vit import Vit
    from pipeline.encoders.torchvision_ops import create_timm

    return Vit(create_timm("vit_base_patch16_siglip_224", num_classes=0, act_layer="gelu_tanh"), "attention")


def _keys(state: "State", network: "Network") -> "State":
    from pipeline.encoders.keys import from_transformers, rename, under, without

    state = from_transformers(under(without(state, r"text_model\.", "logit_"), "vision_model."), "encoder.layers")
    head = {key: state.pop(key) for key in list(state) if key.startswith("head.attention.in_proj_")}
    state = rename(
        without(state, r"embeddings\.position_ids"),
        (
            (r"^embeddings\.patch_embedding\.", "patch_embed.proj."),
            (r"^embeddings\.position_embedding\.weight$", "pos_embed"),
            (r"^post_layernorm\.", "norm."),
            (r"^head\.probe$", "attn_pool.latent"),
            (r"^head\.attention\.out_proj\.", "attn_pool.proj."),
            (r"^head\.layernorm\.", "attn_pool.norm."),
            (r"^head\.mlp\.", "attn_pool.mlp."),
        ),
    )
    for key, value in head.items():  # one matrix for query, key and value
        width, kind = len(value) // 3, key.removeprefix("head.attention.in_proj_")
        state[f"attn_pool.q.{kind}"], state[f"attn_pool.kv.{kind}"] = value[:width], value[width:]
    if "pos_embed" in state:
        state["pos_embed"] = state["pos_embed"][None]
    return state


def _siglip(name: str, hub: str, objective: str, filter: Literal["bicubic", "bilinear"]) -> Entry:
    info = EncoderInfo(
        name,
        768,
        "ViT-B/16, attention pool",
        objective,
        "WebLI",
        10_000_000_000,
        language=True,
        made_here=False,
        grid=(14, 14, 768),
    )
    source = Source("model.safetensors", f"{hub} on the Hugging Face hub", hub=hub, hub_file="model.safetensors")
    how = Preprocess(resize=224, square=True, filter=filter, mean=HALF[0], std=HALF[1])
    return Entry(info, how, source, _vit, _keys, _CODE)


ENTRIES = (
    _siglip("siglip_b16", "google/siglip-base-patch16-224", "image-text sigmoid", "bicubic"),
    _siglip(
        "siglip2_b16",
        "google/siglip2-base-patch16-224",
        "image-text sigmoid + captioning + self-distillation",
        "bilinear",
    ),
)
