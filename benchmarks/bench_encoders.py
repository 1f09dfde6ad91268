"""What `embed` adds to a published network: uint8 frames of 64 pixels in, against the same batch preprocessed beforehand.

The added part is resampling, normalising and copying. Checkpoints are filled by the rules of `tests/oracles`; CPU, one thread.
"""

import tempfile
from collections.abc import Iterator
from pathlib import Path

from benchmarks import Row
from benchmarks.timing import paired_ratio

NAMES = ("dino_vits16", "dinov2_vits14", "mae_vitb", "r3m_rn18", "theia_tiny", "siglip_b16")
FRAMES, PIXELS = 8, 64
PAIRS = 5


def measure() -> Iterator[Row]:
    import torch

    from tests.checkpoints import spec_of, write_checkpoint

    torch.set_num_threads(1)
    for name in NAMES:
        with tempfile.TemporaryDirectory() as folder:
            yield _measure(name, write_checkpoint(spec_of(name), Path(folder)))


def _measure(name: str, weights: Path) -> Row:
    import numpy as np
    import torch

    from pipeline.encoders.loaders import published
    from pipeline.encoders.preprocess import prepare
    from pipeline.encoders.registry import entry_of

    entry = entry_of(name)
    assert entry is not None
    encoder = published(entry, weights, "cpu")
    frames = np.random.default_rng(0).integers(0, 256, (FRAMES, PIXELS, PIXELS, 3), dtype=np.uint8)
    pixels = prepare(frames, entry.preprocess, torch.device("cpu"))

    @torch.no_grad()
    def bare() -> object:
        return encoder._network(pixels)

    bare()
    ratio, ours, theirs = paired_ratio(lambda: encoder.embed(frames), bare, PAIRS)
    detail = (
        f"{ours / FRAMES * 1e3:.1f} ms a frame of {PIXELS} px, network alone {theirs / FRAMES * 1e3:.1f} ms at "
        f"{entry.preprocess.size} px; batch {FRAMES}, {PAIRS} pairs, CPU time, 1 thread"
    )
    return {"id": f"embed_vs_network_{name}", "ratio": ratio, "detail": detail}
