"""Preprocessing equals torchvision's and Pillow's step by step; nothing is resampled that has its size."""

import numpy as np
import pytest
import torch
from PIL import Image

from pipeline.encoders.entry import Preprocess
from pipeline.encoders.preprocess import as_pillow, prepare
from pipeline.encoders.registry import entry_of, list_encoders
from pipeline.encoders.torchvision_ops import import_torchvision

CPU = torch.device("cpu")
SIZES = [(64, 64), (240, 320), (200, 150), (256, 256), (333, 257)]
PIL_NAMES = sorted(
    {
        str(e.preprocess): e.info.name for info in list_encoders() if (e := entry_of(info.name)) and e.preprocess.backend == "pil"
    }.values()
)


def frame(height: int, width: int) -> np.ndarray:
    return np.random.default_rng(height).integers(0, 256, (height, width, 3), dtype=np.uint8)


def torchvisions(how: Preprocess):
    """The chain that the authors' own transforms are made of."""
    import_torchvision()
    from torchvision import transforms

    mode = transforms.InterpolationMode(how.filter)
    return transforms.Compose(
        [
            transforms.Resize((how.resize, how.resize) if how.square else how.resize, mode),
            transforms.CenterCrop(how.size), transforms.ToTensor(), transforms.Normalize(how.mean, how.std),
        ]
    )  # fmt: skip


@pytest.mark.parametrize("name", PIL_NAMES)
@pytest.mark.parametrize("size", SIZES)
def test_equals_the_authors_transforms_bit_for_bit(name: str, size: tuple[int, int]):
    entry = entry_of(name)
    assert entry is not None
    expected = torchvisions(entry.preprocess)(Image.fromarray(frame(*size)))
    torch.testing.assert_close(prepare(frame(*size)[None], entry.preprocess, CPU)[0], expected, rtol=0, atol=0)


@pytest.mark.parametrize("backend", ["pil", "uint8", "rounded", "float", "float-aliased"])
def test_a_frame_of_the_right_size_is_not_resampled(backend):
    how = Preprocess(resize=256, crop=224, backend=backend, mean=(0, 0, 0), std=(1, 1, 1))
    image = frame(256, 256)
    expected = torch.from_numpy(image[16:240, 16:240]).permute(2, 0, 1) / 255
    torch.testing.assert_close(prepare(image[None], how, CPU)[0], expected, rtol=0, atol=0)


@pytest.mark.parametrize("backend", ["uint8", "rounded", "float"])
def test_tensor_resampling_stays_close_to_pillows(backend):
    for size in SIZES:
        pil, other = (
            prepare(frame(*size)[None], Preprocess(resize=128, crop=112, filter="bilinear", backend=b), CPU)
            for b in ("pil", backend)
        )
        assert (pil - other).abs().max() < 2.1 / 255 / 0.224


@pytest.mark.parametrize("mode", ["bicubic", "bilinear"])
def test_the_batched_path_is_pillows_to_one_value_in_255(mode):
    for size in [(64, 64), (256, 256), (240, 320)]:  # Pillow squashes tall images rows first
        image = frame(*size)
        expected = np.asarray(Image.fromarray(image).resize((224, 192), Image.Resampling[mode.upper()])).astype(int)
        got = as_pillow(torch.from_numpy(image)[None].permute(0, 3, 1, 2), 192, 224, mode)[0].permute(1, 2, 0).numpy()
        assert np.abs(got - expected).max() <= 1
        assert (got != expected).mean() < 0.06  # halves, mostly


def test_a_batch_equals_its_frames_one_by_one():
    how = Preprocess(resize=64, crop=48)
    batch = np.stack([frame(70, 90), frame(70, 90)[::-1]])
    torch.testing.assert_close(
        prepare(batch, how, CPU), torch.cat([prepare(one[None], how, CPU) for one in batch]), rtol=0, atol=0
    )
    torch.testing.assert_close(prepare(torch.from_numpy(batch), how, CPU), prepare(batch, how, CPU), rtol=0, atol=0)


def test_frames_that_are_not_uint8_images_are_refused():
    with pytest.raises(ValueError, match="uint8"):
        prepare(np.zeros((1, 64, 64, 3), np.float32), Preprocess(resize=64), CPU)
    with pytest.raises(ValueError, match="uint8"):
        prepare(np.zeros((1, 3, 64, 64), np.uint8), Preprocess(resize=64), CPU)


def test_torchvision_imports_beside_a_cpu_build_of_torch():
    import_torchvision()
    import_torchvision()
    import torchvision

    assert torchvision.__version__
