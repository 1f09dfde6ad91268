"""Frames to pixels, as each encoder's authors do it: exact (Pillow's) on a CPU, one batched tensor operation elsewhere."""

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor
from torch.nn import functional as F

from pipeline.encoders.entry import Preprocess

_PIL = {"bicubic": Image.Resampling.BICUBIC, "bilinear": Image.Resampling.BILINEAR}


def check_frames(frames: NDArray[np.uint8] | Tensor) -> None:
    """Raise ValueError unless `frames` is uint8 [N, H, W, 3]."""
    if str(frames.dtype).removeprefix("torch.") != "uint8" or frames.ndim != 4 or frames.shape[-1] != 3:
        raise ValueError(f"frames must be uint8 [N, H, W, 3], got {frames.dtype} {list(frames.shape)}")


def prepare(frames: NDArray[np.uint8] | Tensor, how: Preprocess, device: torch.device) -> Tensor:
    """uint8 [N, H, W, 3] -> normalised float32 [N, 3, size, size] on `device`.

    On a CPU this is the authors' own arithmetic. Elsewhere Pillow's is done by torch on the whole batch (`as_pillow`); its
    deviation is stated per encoder in docs/encoders.md.
    """
    check_frames(frames)
    if device.type == "cpu" and how.backend == "pil":
        pixels = _to_float(torch.from_numpy(by_pillow(np.asarray(frames), how)).permute(0, 3, 1, 2))
    else:
        tensor = torch.as_tensor(frames).to(device).permute(0, 3, 1, 2)  # (N, 3, H, W), channels last in memory
        pixels = _resampled(tensor, how)
    return standardised(pixels, how)


def standardised(pixels: Tensor, how: Preprocess) -> Tensor:
    """Pixels [N, 3, H, W] in [0, 1] less the mean, over the standard deviation of their channel; in place."""
    mean, std = (torch.tensor(values, device=pixels.device).view(3, 1, 1) for values in (how.mean, how.std))
    return pixels.sub_(mean).div_(std)


def by_pillow(frames: NDArray[np.uint8], how: Preprocess) -> NDArray[np.uint8]:
    """uint8 [N, H, W, 3] -> uint8 [N, size, size, 3], resampled by Pillow (where the size differs) and cropped."""
    return np.stack([_pil(image, how) for image in frames])


def _to_float(pixels: Tensor) -> Tensor:
    return pixels.float().div_(255)


def resized(height: int, width: int, how: Preprocess) -> tuple[int, int]:
    """Height and width after the resampling, before the crop; the longer side is rounded down, as torchvision does."""
    if how.square:
        return how.resize, how.resize
    if height <= width:
        return how.resize, int(how.resize * width / height)
    return int(how.resize * height / width), how.resize


def _crop(height: int, width: int, how: Preprocess) -> tuple[int, int]:
    """Top and left of the centre crop; halves round to even, as torchvision's do."""
    return round((height - how.size) / 2), round((width - how.size) / 2)


def _pil(image: NDArray[np.uint8], how: Preprocess) -> NDArray[np.uint8]:
    height, width = resized(image.shape[0], image.shape[1], how)
    if (height, width) != image.shape[:2]:
        image = np.asarray(Image.fromarray(image).resize((width, height), _PIL[how.filter]))
    if how.crop is None:
        return image
    top, left = _crop(height, width, how)
    return image[top : top + how.crop, left : left + how.crop]


def as_pillow(frames: Tensor, height: int, width: int, mode: str) -> Tensor:
    """Pillow's resampling of [N, 3, H, W] in floats: columns, then rows, each rounded to whole pixel values, halves up."""
    pixels = frames.float()
    for size in ((frames.shape[-2], width), (height, width)):
        pixels = F.interpolate(pixels, size, mode=mode, antialias=True).add_(0.5).floor_().clamp_(0, 255)
    return pixels


def _resampled(frames: Tensor, how: Preprocess, as_on_gpu: bool | None = None) -> Tensor:
    """uint8 [N, 3, H, W] -> float32 in [0, 1], resampled and cropped by torch; as a GPU does it where the frames are on one."""
    gpu = frames.device.type != "cpu" if as_on_gpu is None else as_on_gpu
    height, width = resized(frames.shape[-2], frames.shape[-1], how)
    same = (height, width) == tuple(frames.shape[-2:])
    as_float = how.backend.startswith("float")
    if as_float:
        frames = _to_float(frames)
    if not same:
        if how.backend == "pil" or (how.backend == "uint8" and gpu):
            frames = as_pillow(frames, height, width, how.filter)
        elif how.backend == "rounded":
            frames = F.interpolate(frames.float(), (height, width), mode=how.filter, antialias=True).round_().clamp_(0, 255)
        else:
            frames = F.interpolate(frames, (height, width), mode=how.filter, antialias=how.backend != "float-aliased")
    if how.crop is not None:
        top, left = _crop(height, width, how)
        frames = frames[..., top : top + how.crop, left : left + how.crop]
    return frames.clamp(0, 1) if as_float else _to_float(frames)
