"""The names a study can select, what is known of each, and nothing that needs torch."""

from dataclasses import dataclass, field


@dataclass(frozen=True)
class EncoderInfo:
    """One representation: a row of the property table.

    Attributes:
        name: canonical name, which the store and every table carry.
        dim: size of its embedding; None where the data decides (`state`, `scratch`).
        made_here: whether `pretrain` makes its weights (no download).
    """

    name: str
    dim: int | None
    architecture: str
    objective: str
    data: str
    images: int | None = None
    language: bool = False
    temporal: bool = False
    licence: str = "Apache-2.0"
    made_here: bool = True
    aliases: tuple[str, ...] = field(default=())


_REGISTRY = (
    EncoderInfo("state", None, "none", "none: the task's own observation", "none"),
    EncoderInfo("scratch", None, "CNN", "trained end to end with the world model", "the task's frames"),
    EncoderInfo("random_cnn", 256, "CNN", "none: frozen random weights", "none", aliases=("random",)),
    EncoderInfo("autoencoder", 64, "CNN", "reconstruction", "the task's frames"),
)


def list_encoders() -> list[EncoderInfo]:
    """Every registered representation, in registry order."""
    return list(_REGISTRY)


def selectable_names() -> list[str]:
    """Canonical names and aliases."""
    return [name for info in _REGISTRY for name in (info.name, *info.aliases)]


def canonical(name: str) -> str:
    """The canonical name of a selectable one (custom names stand for themselves)."""
    return next((info.name for info in _REGISTRY if name in (info.name, *info.aliases)), name)
