"""The names a study can select and what is known of each; importing it loads no torch."""

from dataclasses import replace
from pathlib import Path

from datasets.errors import UserError
from pipeline.encoders.costs import COSTS
from pipeline.encoders.entry import EncoderInfo, Entry
from pipeline.encoders.families import (
    clip,
    dino,
    jepa,
    made_here,
    mae,
    r2d2,
    radio,
    resnet,
    siglip,
    supervised,
    taskonomy,
    theia,
    voltron,
)

_FAMILIES = (clip, siglip, dino, mae, resnet, taskonomy, theia, radio, jepa, voltron, r2d2, supervised)
_ENTRIES: dict[str, Entry] = {entry.info.name: entry for family in _FAMILIES for entry in family.ENTRIES}
TIMM, TRANSFORMERS = "timm/", "transformers/"  # how the base of a `custom:` entry begins that is not registered
_CUSTOM = ("custom.py", "entry.py", "containers.py", "networks/network.py", "preprocess.py")
_INFOS = (*made_here.INFOS, *(entry.info for entry in _ENTRIES.values()))


def list_encoders() -> list[EncoderInfo]:
    """Every registered representation, in registry order."""
    return [
        replace(info, gflop=COSTS[info.name][0], parameters=COSTS[info.name][1]) if info.name in COSTS else info
        for info in _INFOS
    ]


def selectable_names() -> list[str]:
    """Canonical names and aliases."""
    return [name for info in _INFOS for name in (info.name, *info.aliases)]


def canonical(name: str) -> str:
    """The canonical name of a selectable one (custom names stand for themselves)."""
    return next((info.name for info in _INFOS if name in (info.name, *info.aliases)), name)


def info_of(name: str) -> EncoderInfo | None:
    """What is known of a selectable representation; None of a custom one, or an unknown name."""
    return next((info for info in list_encoders() if info.name == canonical(name)), None)


def entry_of(name: str) -> Entry | None:
    """How a published representation is built; None for one made here, or an unknown name."""
    return _ENTRIES.get(canonical(name))


def code_of(name: str) -> tuple[str, ...]:
    """Source files that decide the embeddings of a representation, or of a custom base, relative to the project's root."""
    files: tuple[str, ...]
    if entry := entry_of(name):
        files = (*entry.code, "entry.py", "containers.py", "networks/network.py", "preprocess.py")
    elif name.startswith(TIMM):
        files = (*_CUSTOM, "custom_timm.py", "networks/vit.py", "networks/resnet.py")
    elif name.startswith(TRANSFORMERS):
        files = (*_CUSTOM, "custom_transformers.py")
    elif ":" in name:  # a class of the user's: its own module, where it lies in the project
        own = Path(*name.partition(":")[0].split(".")).with_suffix(".py")
        return ("pipeline/encoders/custom.py", *((str(own),) if own.is_file() else ()))
    else:
        files = made_here.CODE.get(canonical(name), ())
    return tuple(f"pipeline/encoders/{file}" for file in ("base.py", *files))


__all__ = [
    "EncoderInfo",
    "Entry",
    "UserError",
    "canonical",
    "code_of",
    "entry_of",
    "info_of",
    "list_encoders",
    "selectable_names",
]
