"""What the batched resampling of a GPU changes in embeddings, against Pillow's: the table in docs/encoders.md.

    python -m benchmarks.deviation
    python -m benchmarks.deviation --only dino_vits16,r3m_rn18

For every encoder with a fixture, on its checkpoint filled by rule and the fixtures' four images, network in float32 on a CPU: the
largest difference of the two embeddings over the largest value.
"""

import tempfile
from pathlib import Path

import numpy as np
import torch

from pipeline.encoders.base import PublishedEncoder
from pipeline.encoders.loaders import published
from pipeline.encoders.preprocess import _resampled, prepare, standardised
from pipeline.encoders.registry import entry_of
from pipeline.stage import run
from tests.checkpoints import ORACLES, images, spec_of, write_checkpoint


def main(only: str = "") -> None:
    names = only.split(",") if only else sorted(path.stem for path in ORACLES.glob("*.json"))
    print("| encoder | deviation |\n| --- | --- |")
    for name in names:
        entry = entry_of(name)
        assert entry is not None
        with tempfile.TemporaryDirectory() as folder:
            encoder = published(entry, write_checkpoint(spec_of(name), Path(folder)), "cpu")
        print(f"| {name} | {_deviation(encoder):.1e} |", flush=True)


@torch.no_grad()
def _deviation(encoder: PublishedEncoder) -> float:
    exact, batched = [], []
    for frame in images():
        how, device = encoder._how, torch.device("cpu")
        exact.append(encoder.embed_pixels(prepare(frame[None], how, device)))
        pixels = _resampled(torch.from_numpy(np.ascontiguousarray(frame[None])).permute(0, 3, 1, 2), how, as_on_gpu=True)
        batched.append(encoder.embed_pixels(standardised(pixels, how)))
    wanted, found = torch.cat(exact), torch.cat(batched)
    return float((found - wanted).abs().max() / wanted.abs().max())


if __name__ == "__main__":
    run(main)
