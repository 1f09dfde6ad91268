"""What one registered representation is made of: plain data, importable without torch."""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    from torch import Tensor

    from pipeline.encoders.networks.network import Network

State = dict[str, "Tensor"]
IMAGENET = ((0.485, 0.456, 0.406), (0.229, 0.224, 0.225))
CLIP = ((0.48145466, 0.4578275, 0.40821073), (0.26862954, 0.26130258, 0.27577711))
HALF = ((0.5, 0.5, 0.5), (0.5, 0.5, 0.5))


@dataclass(frozen=True)
class EncoderInfo:
    """One representation: a row of the property table.

    Attributes:
        name: canonical name, which the store and every table carry.
        dim: size of its embedding; None where the data decides (`state`, `scratch`, `scratch_64`).
        images: pre-training images (or video frames), where its authors state a number.
        made_here: whether `pretrain` makes its weights (no download).
        stores: what its rows hold: what a frozen encoder says of a frame; the frame itself; or the task's own observation.
        side: pixels that stored frames are shrunk to; None: as they were rendered.
        grid: (h, w, D) of its spatial tokens, None where there are none.
        gflop: 2 x multiply-adds of one frame, in units of 1e9. parameters: in units of 1e6, of what `embed` runs.
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
    stores: Literal["embedding", "frame", "observation"] = "embedding"
    side: int | None = None
    aliases: tuple[str, ...] = field(default=())
    grid: tuple[int, int, int] | None = None
    gflop: float | None = None
    parameters: float | None = None


@dataclass(frozen=True)
class Preprocess:
    """From uint8 frames of any size to the network's input, as the authors do it.

    Attributes:
        resize: pixels: of the shorter side, or of both sides where `square`.
        crop: side of the centre crop, None for none.
        backend: what resamples: Pillow on the uint8 image ("pil"); torch's kernel for uint8 tensors ("uint8", torchvision's v2
            transforms); torch's for floats, rounded to whole pixel values ("rounded", torchvision's first transforms on uint8
            tensors); or torch on the float tensor in [0, 1], with or without antialiasing ("float", "float-aliased").
        mean, std: per channel, of pixels in [0, 1].
    """

    resize: int
    crop: int | None = None
    square: bool = False
    filter: Literal["bicubic", "bilinear"] = "bicubic"
    backend: Literal["pil", "uint8", "rounded", "float", "float-aliased"] = "pil"
    mean: tuple[float, float, float] = IMAGENET[0]
    std: tuple[float, float, float] = IMAGENET[1]

    @property
    def size(self) -> int:
        """Side of the network's input, in pixels."""
        return self.crop or self.resize

    def __str__(self) -> str:
        side = f"square {self.resize}" if self.square else f"shorter side {self.resize}"
        crop = f", centre crop {self.crop}" if self.crop else ""
        return f"{side} {self.filter} ({self.backend}){crop}; x / 255, mean {list(self.mean)}, std {list(self.std)}"


@dataclass(frozen=True)
class Source:
    """Where the authors' weights come from.

    Attributes:
        file: its name there. page: where a person finds it, in words.
        wrap: keys under which the file may hold its state dict, the first that is there counts; empty: it is the state dict.
        bare: whether the state dict may also lie bare, as hubs re-publish it.
        hub: repository on the Hugging Face hub that holds a file of a layout `Entry.keys` reads. hub_file: its name there.
        revision: commit of that repository, where known.
        sha256, hub_sha256: of `file` and `hub_file` as published, or their leading digits where only those are stated.
    """

    file: str
    page: str
    wrap: tuple[str, ...] = ()
    bare: bool = False
    hub: str | None = None
    hub_file: str | None = None
    revision: str | None = None
    sha256: str | None = None
    hub_sha256: str | None = None


@dataclass(frozen=True)
class Entry:
    """One representation: its properties and how to build it.

    Attributes:
        network: builds the authors' network, weights not set.
        keys: a published state dict -> the network's own names, with everything dropped that `embed` does not need.
        code: files under `pipeline/encoders` that decide its embeddings, besides those all encoders share.
    """

    info: EncoderInfo
    preprocess: Preprocess
    source: Source
    network: "Callable[[], Network]"
    keys: "Callable[[State, Network], State]"
    code: tuple[str, ...]
