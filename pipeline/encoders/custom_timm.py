"""Any timm model as an encoder, fed and pooled as its own configuration says."""

from pathlib import Path
from typing import Any

from datasets.errors import UserError
from pipeline.encoders.base import PublishedEncoder
from pipeline.encoders.containers import load_strictly, read_container, unwrap
from pipeline.encoders.entry import EncoderInfo, Preprocess, Source
from pipeline.encoders.networks.resnet import ResNet
from pipeline.encoders.networks.vit import Vit
from pipeline.encoders.torchvision_ops import create_timm, import_torchvision
from pipeline.encoders.weights import find_file


def timm_file(name: str, model: str, weights: Path | None) -> Path:
    """The checkpoint of a timm model: `weights`, or the hub's.

    Raises:
        UserError: timm has no such model; the file is missing, and cannot be had from the hub.
    """
    import_torchvision()
    import timm

    config: Any = timm.get_pretrained_cfg(model) if timm.is_model(model) else None
    if config is None:
        near = timm.list_models(f"*{model.split('_')[0]}*")[:1] if model else []
        hint = f"; try {near[0]!r}" if near else ""
        raise UserError(f"custom.{name}: timm has no model {model!r}{hint}")
    info = EncoderInfo(name, None, model, "custom", "custom", licence=config.license or "see its page", made_here=False)
    page = f"{config.hf_hub_id or model} on the Hugging Face hub"
    return find_file(info, Source("model.safetensors", page, hub=config.hf_hub_id, hub_file="model.safetensors"), weights)


def load_timm(
    name: str, model: str, layer: int | None, pooling: str | None, weights: Path | None, device: str
) -> PublishedEncoder:
    """A timm model, its classifier dropped.

    Raises:
        UserError: no such model; weights that are missing or another's; resampling or a head that is not supported.
    """
    path = timm_file(name, model, weights)
    from timm.data import resolve_model_data_config

    body = create_timm(model, meta=False, num_classes=0)
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
    state = {k: v for k, v in unwrap(read_container(path), (), True, path).items() if not k.startswith(_classifier(body))}
    load_strictly(body, state, path, model)
    return PublishedEncoder(name, body.num_features, _wrap(body, model), how, device, layer, pooling)


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
