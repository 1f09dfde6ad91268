"""Lossless codecs for frames: bytes, encoding and decoding time, on rendered frames. What docs/formats.md's choice rests on.

Rows `codec_NAME_vs_png`: decoding time over that of Pillow's own PNG; sizes and encoding times are in the detail.
"""

import io
import statistics
import time
from collections.abc import Callable, Iterator

import numpy as np
from numpy.typing import NDArray

from benchmarks import Row

TASKS = ("cartpole_swingup", "cheetah_run", "reacher_easy")
SIZES, STATES, PAIRS = (64, 256), 24, 5
Codec = tuple[Callable[[NDArray[np.uint8]], bytes], Callable[[bytes], NDArray[np.uint8]]]


def measure() -> Iterator[Row]:
    from datasets.png import decoded, encoded

    def pillow(kind: str, **options: object) -> Codec:
        from PIL import Image

        def encode(frame: NDArray[np.uint8]) -> bytes:
            buffer = io.BytesIO()
            Image.fromarray(frame).save(buffer, kind, **options)
            return buffer.getvalue()

        return encode, lambda data: np.asarray(Image.open(io.BytesIO(data)).convert("RGB"))

    codecs: dict[str, Codec] = {
        "png_sub": (encoded, decoded),  # what the frames are stored in
        "png_pillow": pillow("PNG"),
        "png_pillow_fast": pillow("PNG", compress_level=1),
        "webp_lossless": pillow("WEBP", lossless=True, method=0, quality=0),
        "tiff_deflate": pillow("TIFF", compression="tiff_adobe_deflate"),
        "bmp": pillow("BMP"),
    }
    for size in SIZES:
        frames = _frames(size)
        times: dict[str, list[tuple[float, float]]] = {name: [] for name in codecs}
        bytes_of = {}
        for _ in range(PAIRS):
            for name, (encode, read) in codecs.items():
                start = time.thread_time()
                stored = [encode(frame) for frame in frames]
                middle = time.thread_time()
                shown = [read(data) for data in stored]
                times[name].append((middle - start, time.thread_time() - middle))
                bytes_of[name] = sum(map(len, stored)) / len(frames)
                assert all(np.array_equal(a, b) for a, b in zip(shown, frames, strict=True)), name
        for name, spent in times.items():
            ratio = statistics.median(own[1] / base[1] for own, base in zip(spent, times["png_pillow"], strict=True))
            write, read_s = (statistics.median(t[i] for t in spent) / len(frames) * 1e3 for i in (0, 1))
            detail = f"{size} px: {bytes_of[name]:.0f} bytes a frame, {write:.2f} ms to encode, {read_s:.2f} ms to decode"
            yield {"id": f"codec_{name}_{size}_vs_png", "ratio": ratio, "detail": detail}


def _frames(size: int) -> list[NDArray[np.uint8]]:
    from datasets.frames import Look
    from pipeline.sim.env import TaskEnv, View

    frames = []
    for task in TASKS:
        for look in (None, Look("texture", "texture", 1.0, 0, "ood")):
            env = TaskEnv(task, 4, 1000, View(size, 0, "fast", look))
            env.reset(seed=0)
            rng = np.random.default_rng(0)
            for _ in range(STATES // 6):
                action = rng.uniform(env.action_low, env.action_high).astype(np.float32)
                frames.append(env.step(action)[0]["image"])
            env.close()
    return frames
