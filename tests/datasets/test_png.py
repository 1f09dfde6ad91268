"""Frames as PNG: what Pillow writes and what Pillow reads, and nothing damaged is taken for a frame."""

import io
import zlib

import numpy as np
import pytest
from PIL import Image

from datasets import png


def _frame(seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 256, (24, 20, 3), dtype=np.uint8)


def test_pillow_reads_what_is_written_and_what_pillow_writes_is_read():
    frame, buffer = _frame(), io.BytesIO()
    assert np.array_equal(np.asarray(Image.open(io.BytesIO(png.encoded(frame)))), frame)
    assert np.array_equal(png.decoded(png.encoded(frame)), frame)
    Image.fromarray(frame).save(buffer, "PNG")
    assert np.array_equal(png.decoded(buffer.getvalue()), frame)


def test_what_it_wrote_itself_is_read_without_pillow(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(Image, "open", lambda file: pytest.fail("Pillow was asked"))
    assert np.array_equal(png.decoded(png.encoded(_frame())), _frame())


def test_every_byte_counts():
    """Wherever a byte is changed, it is an error, or the frame is the same (Pillow passes over what follows the pixels)."""
    whole, frame = png.encoded(_frame()), _frame()
    for at in [*range(60), *range(60, len(whole), 97), *range(len(whole) - 20, len(whole))]:
        damaged = bytearray(whole)
        damaged[at] ^= 0x41
        try:
            read = png.decoded(bytes(damaged))
        except (OSError, ValueError, SyntaxError, zlib.error):
            continue
        assert read.shape == frame.shape
        assert np.array_equal(read, frame), at


def test_a_cut_is_an_error():
    whole = png.encoded(_frame())
    for length in (0, 10, 40, len(whole) // 2, len(whole) - 40):
        with pytest.raises((OSError, ValueError, SyntaxError)):
            png.decoded(whole[:length])
