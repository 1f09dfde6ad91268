"""What a study costs, before it is paid: frames, bytes and time of params.yaml on this machine.

    python -m pipeline.plan
    python -m pipeline.plan --gpu H100

Counts come from params.yaml alone. Times come from a calibration of a few seconds: encoders made here embed a batch, training
runs a few updates of the models as configured. A published encoder cannot be timed without its weights: its time is its GFLOP a
frame over the rate of a large matrix product here, which no network exceeds. Behaviour, rendering and fine-tuning are not
estimated.
"""

import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from datasets.errors import UserError
from pipeline.params import Params, canonical, load_params
from pipeline.stage import run

if TYPE_CHECKING:
    from pipeline.encoders import EncoderInfo
    from trainers.models import Model

GPU_RATES: dict[str, dict[str, float]] = {}  # name -> encoder -> frames/s, as measured and noted in docs/gpu.md; none so far
REFERENCES = ("state", "scratch", "random", "autoencoder")
_VITS = ("random_vit", "mae_indomain", "dino_indomain")
_BYTES = {"float16": 2, "float32": 4, "int8": 1}
_UPDATES = 3  # timed, after one that is not


@dataclass(frozen=True)
class Counts:
    """Of one task: `rows` of the trajectory file, `frames` under all looks."""

    rows: int
    frames: int


def main(gpu: str = "", params: Path = Path("params.yaml")) -> None:
    p = load_params(params)
    if gpu and gpu not in GPU_RATES:
        known = f"known: {', '.join(GPU_RATES)}" if GPU_RATES else "no GPU has been measured yet (docs/gpu.md)"
        raise UserError(f"--gpu {gpu}: no measured figures of it; {known}")
    if p.imports:
        print("imported tasks are left out: their size is known once they are collected")
    tasks = [task for task in p.tasks if task not in p.imports]
    own = [task for task in tasks if task in p.environments]
    counts = count(p, one_look=tasks == own != [])  # of the larger tasks, which the table is about
    looks = "the default look" if tasks == own != [] else "all looks"
    print(f"{len(tasks)} tasks, each {counts.rows:,} steps in the trajectory file and {counts.frames:,} frames under {looks}")
    if len(tasks) > len(own) > 0:
        print(f"(environments of your own have fewer: {count(p, one_look=True).frames:,} frames)")
    share = 1.0 if not tasks else sum(count(p, task in own).frames for task in tasks) / (len(tasks) * counts.frames)
    names = list(dict.fromkeys(canonical(name) for name in (p.encoder, *REFERENCES)))
    rate = _gemm_rate()
    print(f"\n{'encoder':>18} {'MB a task':>10} {'encode':>16} {'train':>16}   ({rate:.0f} GFLOP/s a core, one core)")
    total = 0.0
    for name in names:
        if name in p.custom:
            print(f"{name:>18}   not estimated: what a custom encoder costs is known once it runs")
            continue
        size, encode, bound = _encoding(p, name, counts, rate, gpu)
        train = sum(_training(p, name, a) * p.train.of(a).loop.updates for a in p.algorithms) * len(p.train.seeds)
        total += (share * encode + train) * len(tasks)
        print(f"{name:>18} {size / 1e6:>10.1f} {('> ' if bound else '') + _span(encode):>16} {_span(train):>16}")
    print(f"\nall tasks, {len(p.train.seeds)} seeds of each, one thing after another: {_span(total)}")


def count(p: Params, one_look: bool = False) -> Counts:
    """The frames that `collect` and `render` will make of one task, whose episodes have their full length.

    Args:
        one_look: whether it is an environment of the user's own.
    """
    length = p.collect.episode_steps // p.collect.action_repeat + 1
    episodes, held_out = p.collect.episodes.total, p.collect.validation.total
    if one_look:
        return Counts(episodes * length, episodes * length)
    sized = len(p.collect.size.severities) * p.collect.size.looks_per_severity * p.collect.size.episodes.total
    trained = p.render.train_looks
    seen = 1 + len(trained.axes) * len(trained.severities) * trained.looks_per_severity
    shifted = len([axis for axis in p.render.axes if axis != "size"]) * len(p.render.severities) * p.render.looks_per_severity
    size = len(p.render.severities) * p.render.looks_per_severity if "size" in p.render.axes else 0
    frames = seen * episodes + shifted * held_out + size * p.collect.size.episodes.total
    return Counts((episodes + sized) * length, frames * length)


def _encoding(p: Params, name: str, counts: Counts, rate: float, gpu: str) -> tuple[float, float, bool]:
    """(bytes of one task's embeddings, seconds to encode them, whether those are only a lower bound)."""
    from pipeline.encoders import info_of

    info = info_of(name)
    if info and info.stores == "frame":
        return float(counts.frames * 3 * (info.side or p.render.size) ** 2), 0.0, False
    if info and info.stores == "observation":
        return 0.0, 0.0, False
    dim = _made_here(p).get(name) or (info.dim if info else None) or 0
    size = float(counts.frames * (dim * _BYTES[p.encode.dtype] + _token_bytes(p, name, info)))
    if gpu:
        return size, counts.frames / GPU_RATES[gpu][name], False
    if info and info.gflop:
        return size, counts.frames * info.gflop / rate, True
    return size, counts.frames * _seconds_a_frame(p, name), False


def _token_bytes(p: Params, name: str, info: "EncoderInfo | None") -> int:
    """Of a frame's tokens, uncompressed; those after a block are counted as the spatial ones and the class token."""
    kept = p.encode.tokens
    h, w, dim = (8, 8, _made_here(p)[name]) if name in _VITS else (info.grid if info and info.grid else (0, 0, 0))
    if not kept.kept or not dim:
        return 0
    spatial = (kept.grid**2 if kept.grid else h * w) if kept.spatial else 0
    after = h * w + 1 if kept.after_block is not None else 0
    rounding = 4 * ((spatial > 0) + (after > 0)) * (dim + 1) if kept.dtype == "int8" else 0  # scales and errors
    return (spatial + after) * dim * _BYTES[kept.dtype] + rounding


def _made_here(p: Params) -> dict[str, int]:
    made = p.pretrain
    return {"random_cnn": made.random.dim, "autoencoder": made.autoencoder.dim, **{n: getattr(made, n).width for n in _VITS}}


def _seconds_a_frame(p: Params, name: str) -> float:
    import numpy as np
    import torch

    from pipeline.encoders import load_encoder

    torch.set_num_threads(1)
    encoder = load_encoder("random_vit" if name in _VITS else "random_cnn")
    frames = np.zeros((p.encode.batch, p.render.size, p.render.size, 3), np.uint8)
    encoder.embed(frames)
    start = time.process_time()
    encoder.embed(frames)
    return (time.process_time() - start) / len(frames)


def _training(p: Params, name: str, algorithm: str) -> float:
    """Seconds of one update of one model on windows of this representation."""
    import torch

    from trainers.update import Rules, Single, Split
    from trainers.worldmodel import Batch

    torch.set_num_threads(p.compute.threads)
    model, shape, dtype = _model(p, name, algorithm)
    b, steps = p.train.of(algorithm).loop.batch, p.train.of(algorithm).loop.length
    flags = torch.zeros(b, steps, dtype=torch.bool)
    observation = torch.zeros(b, steps, *shape, dtype=dtype) if dtype == torch.uint8 else torch.randn(b, steps, *shape)
    beside = p.train.of(algorithm).loop.reconstructs_frames and dtype != torch.uint8
    frames = torch.zeros(b, steps, p.render.size, p.render.size, 3, dtype=torch.uint8) if beside else None
    batch = Batch(observation, torch.zeros(b, steps, _ACTION), torch.zeros(b, steps), flags, flags, frames)
    update = Single(model, 0, Rules(p.train.of(algorithm).loop.clip), torch.device("cpu"), Split())
    start = 0.0
    for number in range(1 + _UPDATES):
        if number == 1:
            start = time.process_time()
        update([batch], 0.0)
    return (time.process_time() - start) / _UPDATES


_ACTION, _STATE = 6, 24  # sizes of an action and of a state, which hardly matter to the time


def _model(p: Params, name: str, algorithm: str) -> "tuple[Model, tuple[int, ...], object]":
    import torch

    from pipeline.encoders import info_of
    from trainers.algorithms import algorithm as named

    info = info_of(name)
    frames = info is not None and info.stores == "frame"
    side, dim = (info.side, info.dim) if info else (None, None)
    shape: tuple[int, ...] = (side or p.render.size,) * 2 + (3,) if frames else (_made_here(p).get(name) or dim or _STATE,)
    dtype = torch.uint8 if frames else torch.float32
    kind = named(algorithm)
    model = kind.build(kind.configure(shape, dtype, _ACTION, p.train.sizes))
    sample = torch.zeros(64, *shape, dtype=dtype) if dtype == torch.uint8 else torch.randn(64, *shape)
    model.standardise(sample, torch.zeros(64, p.render.size, p.render.size, 3, dtype=torch.uint8))
    return model, shape, dtype


def _gemm_rate(size: int = 1536) -> float:
    """GFLOP/s of one thread in a large fp32 matrix product, the best of five."""
    import torch

    torch.set_num_threads(1)
    a = torch.randn(size, size)
    times = []
    for _ in range(5):
        start = time.process_time()
        a @ a
        times.append(time.process_time() - start)
    return 2 * size**3 / min(times) / 1e9


def _span(seconds: float) -> str:
    if seconds < 90:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 5400 else f"{seconds / 3600:.1f} h"


if __name__ == "__main__":
    run(main)
