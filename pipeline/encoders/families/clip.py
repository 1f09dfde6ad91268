"""CLIP, OpenCLIP and LIV: image towers trained against text, native in timm.

Upstream: openai/CLIP (`clip/model.py`), mlfoundations/open_clip, penn-pal-lab/LIV (`liv/models/model_liv.py`: a fine-tuned CLIP).
OpenAI's networks use QuickGELU, OpenCLIP's the exact GELU; neither file says so.
"""

from dataclasses import replace
from typing import TYPE_CHECKING, Any

from pipeline.encoders.entry import CLIP, EncoderInfo, Entry, Preprocess, Source

if TYPE_CHECKING:
    from pipeline.encoders.entry import State
    from pipeline.encoders.networks.network import Network

_CODE = ("families/clip.py", "keys.py", "networks/vit.py", "networks/resnet.py")
_AS_CLIP = Preprocess(resize=224, crop=224, mean=CLIP[0], std=CLIP[1])


def _vit(timm_name: str, dim: int) -> "Network":
    from pipeline.encoders.networks.vit import Vit
    from pipeline.encoders.torchvision_ops import create_timm

    return Vit(create_timm(timm_name, num_classes=dim), "cls", head=True, normed=False)


def _resnet(timm_name: str, dim: int) -> "Network":
    from pipeline.encoders.networks.resnet import ResNet
    from pipeline.encoders.torchvision_ops import create_timm

    return ResNet(create_timm(timm_name, num_classes=dim), attention=True)


def _keys(state: "State", network: "Network") -> "State":
    """The image tower only, through timm's own converter."""
    from timm.models import byobnet, vision_transformer

    state = {key: value for key, value in state.items() if key.startswith("visual.")}
    body: Any = network.body
    _refuse_resampling(state, network)
    if "visual.class_embedding" in state:
        return vision_transformer.checkpoint_filter_fn(state, body)
    return byobnet.checkpoint_filter_fn(state, body)


def _liv_keys(state: "State", network: "Network") -> "State":
    from pipeline.encoders.keys import under

    return _keys(under(state, "module.model."), network)


def _refuse_resampling(state: "State", network: "Network") -> None:
    """timm's converter silently resamples patches and positions of another size; drop them, so that loading names them."""
    body = network.body
    for key, own in (("visual.conv1.weight", "patch_embed.proj.weight"), ("visual.positional_embedding", "pos_embed")):
        expected = dict(body.named_parameters()).get(own)
        if expected is not None and key in state and list(state[key].shape) != list(expected.shape)[-state[key].ndim :]:
            found = state.pop(key)
            state[f"visual.{own} {list(found.shape)} where {list(expected.shape)} was expected"] = found


def _clip(
    name: str,
    file: str,
    architecture: str,
    hub: str,
    dim: int,
    grid: tuple[int, int, int],
    sha256: str,
    aliases: tuple[str, ...] = (),
) -> Entry:
    info = EncoderInfo(
        name,
        dim,
        architecture,
        "image-text contrastive",
        "WIT",
        400_000_000,
        language=True,
        licence="MIT",
        made_here=False,
        grid=grid,
        aliases=aliases,
    )
    source = Source(
        file,
        "the list in clip/clip.py of GitHub openai/CLIP",
        hub=f"timm/{hub}.openai",
        hub_file="open_clip_model.safetensors",
        sha256=sha256,
    )
    if name.startswith("clip_rn"):
        how = _AS_CLIP if "x64" not in name else replace(_AS_CLIP, resize=448, crop=448)
        return Entry(info, how, source, lambda: _resnet(hub, dim), _keys, _CODE)
    return Entry(info, _AS_CLIP, source, lambda: _vit(hub.replace("_clip_", "_clip_quickgelu_") + ".openai", dim), _keys, _CODE)


def _openclip(
    name: str, architecture: str, timm_name: str, hub: str, dim: int, grid: tuple[int, int, int], aliases: tuple[str, ...]
) -> Entry:
    info = EncoderInfo(
        name,
        dim,
        architecture,
        "image-text contrastive",
        "LAION-2B",
        2_000_000_000,
        language=True,
        licence="MIT",
        made_here=False,
        grid=grid,
        aliases=aliases,
    )
    file = "open_clip_pytorch_model.bin"
    source = Source(file, f"{hub} on the Hugging Face hub", hub=hub, hub_file=file)
    return Entry(info, _AS_CLIP, source, lambda: _vit(timm_name, dim), _keys, _CODE)


_LIV = Entry(
    EncoderInfo(
        "liv_rn50",
        1024,
        "CLIP ResNet-50",
        "image-goal and language-goal value + contrastive",
        "EpicKitchens (CLIP initialisation)",
        language=True,
        temporal=True,
        licence="MIT",
        made_here=False,
        grid=(7, 7, 2048),
    ),
    replace(_AS_CLIP, filter="bilinear", backend="float-aliased"),
    Source("model.pt", "jasonyma/LIV on the Hugging Face hub", wrap=("liv",), hub="jasonyma/LIV", hub_file="model.pt"),
    lambda: _resnet("resnet50_clip", 1024),
    _liv_keys,
    _CODE,
)

ENTRIES = (
    _clip(
        "clip_vitb32",
        "ViT-B-32.pt",
        "ViT-B/32",
        "vit_base_patch32_clip_224",
        512,
        (7, 7, 768),
        "40d365715913c9da98579312b702a82c18be219cc2a73407c4526f58eba950af",
    ),
    _clip(
        "clip_vitb16",
        "ViT-B-16.pt",
        "ViT-B/16",
        "vit_base_patch16_clip_224",
        512,
        (14, 14, 768),
        "5806e77cd80f8b59890b7e101eabd078d9fb84e6937f9e85e4ecb61988df416f",
    ),
    _clip(
        "clip_vitl14",
        "ViT-L-14.pt",
        "ViT-L/14",
        "vit_large_patch14_clip_224",
        768,
        (16, 16, 1024),
        "b8cca3fd41ae0c99ba7e8951adf17d267cdb84cd88be6f7c2e0eca1737a03836",
        aliases=("clip",),
    ),
    _clip(
        "clip_rn50",
        "RN50.pt",
        "CLIP ResNet-50",
        "resnet50_clip",
        1024,
        (7, 7, 2048),
        "afeb0e10f9e5a86da6080e35cf09123aca3b358a0c3e3b6c78a7b63bc04b6762",
    ),
    _clip(
        "clip_rn50x64",
        "RN50x64.pt",
        "CLIP ResNet-50 x 64",
        "resnet50x64_clip",
        1024,
        (14, 14, 4096),
        "be1cfb55d75a9666199fb2206c106743da0f6468c9d327f3e0d0a543a9919d9c",
    ),
    _openclip(
        "openclip_vitb32", "ViT-B/32", "vit_base_patch32_clip_224", "laion/CLIP-ViT-B-32-laion2B-s34B-b79K", 512, (7, 7, 768), ()
    ),
    _openclip(
        "openclip_vith14",
        "ViT-H/14",
        "vit_huge_patch14_clip_224",
        "laion/CLIP-ViT-H-14-laion2B-s32B-b79K",
        1024,
        (16, 16, 1280),
        ("openclip",),
    ),
    _LIV,
)
