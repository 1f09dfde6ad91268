"""Encoders of your own: another layer or pooling of a registered one, any timm model, or a Python class.

An entry of `custom:` in params.yaml names its base as one of

    dinov2_vits14                a registered name
    timm/MODEL.TAG               a timm model, with the preprocessing and pooling its own configuration states
    module.path:ClassName        a class: ClassName(weights: Path | None, device: str) with `dim`, `preprocessing` and `embed`
"""

import importlib
from pathlib import Path
from typing import Any

from datasets.errors import UserError
from pipeline.encoders.base import Encoder, PublishedEncoder
from pipeline.encoders.containers import load_strictly, read_container, unwrap
from pipeline.encoders.entry import EncoderInfo, Entry, Preprocess, Source
from pipeline.encoders.loaders import published
from pipeline.encoders.networks.resnet import ResNet
from pipeline.encoders.networks.vit import Vit
from pipeline.encoders.registry import entry_of
from pipeline.encoders.torchvision_ops import create_timm
from pipeline.encoders.weights import find_weights

TIMM = "timm/"


def load_custom(name: str, base: str, layer: int | None, pooling: str | None, weights: Path | None, device: str) -> Encoder:
    """The encoder of one `custom:` entry; it bears the entry's name.

    Raises:
        UserError: its base cannot be loaded, or has no such layer or pooling.
    """
    encoder: Any
    if entry := entry_of(base):
        encoder = published(entry, weights, device, layer, pooling)
    elif base.startswith(TIMM):
        encoder = _timm(name, base.removeprefix(TIMM), layer, pooling, weights, device)
    elif ":" in base:
        encoder = _class(name, base, layer, pooling, weights, device)
    else:
        raise UserError(
            f"custom.{name}: {base!r} is made here and has no layer or pooling to choose; "
            "use a published encoder, timm/MODEL.TAG or module:Class"
        )
    encoder.name = name
    return encoder


def _timm(name: str, model: str, layer: int | None, pooling: str | None, weights: Path | None, device: str) -> Encoder:
    from timm.data import resolve_model_data_config

    try:
        body = create_timm(model, meta=False, num_classes=0)
    except RuntimeError as error:
        raise UserError(f"custom.{name}: timm has no model {model!r} ({str(error).splitlines()[0]})") from None
    config = resolve_model_data_config(body)
    if config["interpolation"] not in ("bicubic", "bilinear"):
        raise UserError(f"custom.{name}: {model} wants {config['interpolation']} resampling; bicubic and bilinear are there")
    crop = config["input_size"][-1]
    how = Preprocess(
        resize=int(crop / config["crop_pct"]),
        crop=crop,
        square=config["crop_mode"] == "squash",
        filter=config["interpolation"],
        mean=tuple(config["mean"]),
        std=tuple(config["std"]),
    )
    hub = body.pretrained_cfg.get("hf_hub_id")
    info = EncoderInfo(
        name,
        body.num_features,
        model,
        "custom",
        "custom",
        licence=body.pretrained_cfg.get("license") or "see its page",
        made_here=False,
    )
    source = Source("model.safetensors", f"{hub or model} on the Hugging Face hub", hub=hub, hub_file="model.safetensors")
    path = find_weights(Entry(info, how, source, lambda: network, lambda state, _: state, ()), weights)
    state = {k: v for k, v in unwrap(read_container(path), (), True, path).items() if not k.startswith(_classifier(body))}
    load_strictly(body, state, path, model)
    network = _wrap(body, model)
    return PublishedEncoder(name, body.num_features, network, how, device, layer, pooling)


def _classifier(body: Any) -> tuple[str, ...]:
    names = body.pretrained_cfg.get("classifier") or ()
    return tuple(f"{n}." for n in ((names,) if isinstance(names, str) else names))


def _wrap(body: Any, model: str) -> Vit | ResNet:
    if not hasattr(body, "blocks") or not hasattr(body, "norm"):
        return ResNet(body)
    pooling = {"token": "cls", "avg": "mean", "map": "attention"}.get(body.global_pool)
    if pooling is None or (getattr(body, "fc_norm", None) is not None and list(body.fc_norm.parameters())):
        raise UserError(
            f"{model} pools with {body.global_pool!r} and a norm of its own; write a class instead (docs/encoders.md)"
        )
    return Vit(body, pooling)  # type: ignore[arg-type]


def _class(name: str, base: str, layer: int | None, pooling: str | None, weights: Path | None, device: str) -> Any:
    module, _, attribute = base.partition(":")
    if layer is not None or pooling is not None:
        raise UserError(f"custom.{name}: layer and pooling are for registered and timm encoders; {base} decides its own")
    try:
        made = getattr(importlib.import_module(module), attribute)
    except (ImportError, AttributeError) as error:
        raise UserError(f"custom.{name}: {base} cannot be imported from here: {error}") from None
    encoder = made(weights, device)
    for wanted in ("dim", "embed", "preprocessing"):
        if not hasattr(encoder, wanted):
            raise UserError(f"custom.{name}: {base} has no `{wanted}`; see docs/encoders.md")
    encoder.layer, encoder.pooling = getattr(encoder, "layer", None), getattr(encoder, "pooling", "default")
    return encoder
