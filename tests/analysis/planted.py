"""Made-up result tables whose truth is known: errors are Gaussian, with a variance chosen to give a planted R2."""

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import polars as pl
from PIL import Image

from analysis.tables import (
    CALIBRATION,
    DYNAMICS,
    ENCODERS,
    LEARNING,
    LOOKS,
    ONLINE,
    PROBES,
    PROPERTIES,
    RECORDINGS,
    REWARD_ERROR,
    SAMPLE,
)
from datasets.episodes import Trajectories
from datasets.frames import Frames, FrameSet, FrameShard, Look, save_frames_index, write_frame_shard
from datasets.manifest import write_manifest
from datasets.trajectories import FILE, save_trajectories
from tests.synthetic import TASK

QUALITIES = ("random", "medium", "replay", "replay", "expert")
AXES = ("texture", "lighting", "camera")
FILTERING = {"state": 0.99, "scratch": 0.95, "random_cnn": 0.9, "autoencoder": 0.96, "selected": 0.93}
DECAY = 20.0  # open loop, R2 falls as exp(-horizon / DECAY)


@dataclass(frozen=True)
class Size:
    """How much is made up."""

    episodes: int = 15
    steps: int = 250
    short: int = 15
    long_starts: int = 5
    severities: tuple[float, ...] = (0.25, 0.5, 1.0)
    seeds: tuple[int, ...] = (0,)


SMALL = Size(episodes=10, steps=40, short=3, long_starts=2, severities=(0.5, 1.0))


def looks(size: Size) -> list[Look]:
    shifted = [Look(f"{axis}-{severity:.2f}-0", axis, severity, 0, "ood") for axis in AXES for severity in size.severities]
    return [Look("default", "default", 0.0, 0, "id"), *shifted]


def planted_r2(encoder: str, axis: str, severity: float, horizon: int) -> float:
    """The R2 that the made-up predictions have, in expectation."""
    filtering = FILTERING[encoder]
    if encoder != "state":
        filtering -= severity * {"default": 0, "texture": 0.5, "lighting": 0.3, "camera": 0.15}[axis]
    return filtering * float(np.exp(-horizon / DECAY))


def rewards(size: Size, seed: int = 0) -> np.ndarray:
    """float64 [episodes, steps + 1]: smooth, higher for better behaviour; 0 in the first row, as stored."""
    rng = np.random.default_rng(seed)
    level = np.array([{"random": 0.5, "medium": 1.5, "replay": 2.0, "expert": 3.0}[quality(e)] for e in range(size.episodes)])
    walk = np.cumsum(rng.normal(size=(size.episodes, size.steps + 1)), axis=1) * 0.15
    values = np.clip(level[:, None] + np.sin(walk), 0, 4)
    values[:, 0] = 0
    return values


def quality(episode: int) -> str:
    return QUALITIES[episode % len(QUALITIES)]


def questions(size: Size) -> np.ndarray:
    """int [n, 2] of (t, horizon) that every model is asked in every episode (contract 4)."""
    short = [(t, h) for h in range(size.short + 1) for t in range(max(1, h), size.steps + 1)]
    starts = np.linspace(0, size.steps - size.short - 2, size.long_starts).astype(int)
    long = [(c + h, h) for c in starts for h in range(size.short + 1, size.steps - c + 1)]
    return np.array(short + long)


def reward_error(encoder: str, size: Size, task: str = TASK, seed: int = 0) -> pl.DataFrame:
    """One part: every look of one representation. The noise is the same under every look, so that the looks are paired."""
    truth, asked = rewards(size), questions(size)
    t, h = asked[:, 0], asked[:, 1]
    spread = truth[:, 1:].std()
    rng = np.random.default_rng([seed, *encoder.encode()])
    parts = []
    for model in size.seeds:
        noise = rng.normal(size=(size.episodes, len(asked)))
        for look in looks(size):
            r2 = np.array([planted_r2(encoder, look.axis, look.severity, i) for i in range(size.steps + 1)])[h]
            reward = truth[:, t]
            predicted = reward + spread * np.sqrt(1 - r2) * noise
            episode = np.repeat(np.arange(size.episodes), len(asked))
            parts.append(
                pl.DataFrame(
                    {"episode": episode + 75, "t": np.tile(t, size.episodes), "horizon": np.tile(h, size.episodes),
                     "reward": reward.ravel(), "reward_pred": predicted.ravel()}
                ).with_columns(
                    pl.lit(encoder).alias("encoder"), pl.lit("dreamerv3").alias("algorithm"), pl.lit(model).alias("seed"),
                    pl.lit("embedded").alias("preset"), pl.lit(task).alias("task"), pl.lit(look.variant).alias("variant"),
                    pl.lit(look.axis).alias("axis"), pl.lit(look.severity).alias("severity"), pl.lit(look.split).alias("split"),
                    quality=pl.Series([quality(e) for e in range(size.episodes)]).gather(episode),
                ).select(pl.col(name).cast(dtype) for name, dtype in REWARD_ERROR.items())
            )  # fmt: skip
    return pl.concat(parts)


def learning(encoder: str, size: Size, task: str = TASK) -> pl.DataFrame:
    rows = [
        (encoder, task, "dreamerv3", seed, update, metric, scale * float(np.exp(-update / 200)) + 0.1)
        for seed in size.seeds
        for update in range(20, 801, 20)
        for metric, scale in (("reward_loss", 3.0), ("prediction_loss", 5.0), ("dynamics_loss", 1.0), ("loss", 9.0))
    ]
    return pl.DataFrame(rows, schema=LEARNING, orient="row")


def online(encoder: str, task: str = TASK) -> pl.DataFrame:
    curve = [("online", s, 200 + 350 * (1 - float(np.exp(-s / 6000)))) for s in (0, 6000, 12000, 18000)]
    rows = [
        ("dreamerv3", encoder, task, 0, "offline", arm, "embedded", "default", "default", 0.0, "id", step, value, 40.0, 10)
        for arm, step, value in [*curve, ("offline_only", 0, 230.0)]
    ]
    return pl.DataFrame(rows, schema=ONLINE, orient="row")


def dynamics(encoder: str, size: Size, task: str = TASK) -> pl.DataFrame:
    """Errors that grow with the horizon and fall with the planted R2 of the look; equal in all episodes."""
    rows = [
        (encoder, "dreamerv3", seed, "embedded", task, look.variant, look.axis, look.severity, look.split, quality(e), e + 75,
         h, metric, size.steps, 1 - planted_r2(encoder, look.axis, look.severity, h))
        for seed in size.seeds for look in looks(size) for e in range(size.episodes)
        for metric, horizons in (("kl", (1,)), ("state_nmse", (0, size.short)), ("embedding_nmse", (0, size.short)))
        for h in horizons
    ]  # fmt: skip
    return pl.DataFrame(rows, schema=DYNAMICS, orient="row")


def calibration(encoder: str, size: Size, task: str = TASK) -> pl.DataFrame:
    """Intervals that hold all but a tenth of what they should."""
    rows = [
        (encoder, "dreamerv3", seed, "embedded", task, look.variant, look.axis, look.severity, look.split, quality(e), e + 75,
         h, level, size.steps, round(0.9 * level * size.steps), level)
        for seed in size.seeds for look in looks(size) for e in range(size.episodes) for h in (0, size.short)
        for level in (0.5, 0.8, 0.9, 0.95)
    ]  # fmt: skip
    return pl.DataFrame(rows, schema=CALIBRATION, orient="row")


def recordings(encoder: str, size: Size, task: str = TASK) -> pl.DataFrame:
    """A validation episode, observed up to step 10; what is imagined is nearest to a training episode, two steps late."""
    other = QUALITIES.index("expert")
    truth, episode = rewards(size)[other], size.episodes + other
    rows = [
        (encoder, "dreamerv3", seed, "embedded", task, "default", "default", 0.0, "id", "expert", episode, t, max(0, t - 10),
         truth[t], truth[t] * planted_r2(encoder, "default", 0.0, max(0, t - 10)), "embedding", other, max(0, t - 2), 0.3, 0.8,
         other, t, 0.1, 0.2)
        for seed in size.seeds for t in range(1, size.steps + 1)
    ]  # fmt: skip
    return pl.DataFrame(rows, schema=RECORDINGS, orient="row")


def probes(encoder: str, size: Size, task: str = TASK) -> pl.DataFrame:
    rows = [
        (encoder, "embedded", task, look.variant, look.axis, look.severity, look.split, quality(e), e + 75, target, method,
         size.steps, 1 - planted_r2(encoder, look.axis, look.severity, 0))
        for look in looks(size) for e in range(size.episodes) for target in ("reward", "state") for method in ("ridge", "knn")
    ]  # fmt: skip
    return pl.DataFrame(rows, schema=PROBES, orient="row")


def properties(encoder: str, size: Size, task: str = TASK) -> pl.DataFrame:
    rows = [
        (encoder, "embedded", task, look.variant, look.axis, look.severity, look.split, name, value)
        for look in looks(size)
        for name, value in (
            {"dim": 64.0, "intrinsic_dimension": 4.0} if look.axis == "default" else {"signal_to_nuisance": 2.0 / look.severity}
        ).items()
    ]
    return pl.DataFrame(rows, schema=PROPERTIES, orient="row")


def write_probes(folder: Path, encoder: str, size: Size) -> None:
    """What the stage probe leaves of one representation."""
    folder.mkdir(parents=True)
    rng = np.random.default_rng(0)
    probes(encoder, size).write_parquet(folder / "probes.parquet")
    properties(encoder, size).write_parquet(folder / "properties.parquet")
    known = [(encoder, "CNN", "reconstruction", "the task's frames", None, False, False, 64)]
    pl.DataFrame(known, schema=ENCODERS, orient="row").write_parquet(folder / "encoder.parquet")
    rows = [(encoder, TASK, 75 + i % size.episodes, i + 1, float(i), rng.normal(size=8).tolist()) for i in range(size.steps)]
    pl.DataFrame(rows, schema=SAMPLE, orient="row").write_parquet(folder / "sample.parquet")
    write_manifest(folder, {"stage": "probe"})


def trajectories(size: Size, task: str = TASK) -> Trajectories:
    """As many training episodes as there are validation episodes; the latter carry `rewards`."""
    truth = np.concatenate([rewards(size, seed=1), rewards(size)])
    length, episodes = size.steps + 1, len(truth)
    first = np.zeros(truth.size, bool)
    first[::length] = True
    return Trajectories(
        task=task, physics=np.zeros((truth.size, 4)), observation=np.zeros((truth.size, 5), np.float32),
        action=np.zeros((truth.size, 1), np.float32), reward=truth.ravel().astype(np.float32),
        discount=np.ones(truth.size, np.float32), is_first=first, is_terminal=np.zeros(truth.size, bool),
        episode_ends=np.arange(1, episodes + 1) * length, quality=[quality(e % size.episodes) for e in range(episodes)],
        seed=np.arange(episodes), validation=np.arange(episodes) >= size.episodes,
        meta={"expert_return": 790.0, "random_return": 120.0, "action_repeat": 4},
    )  # fmt: skip


def write_tree(root: Path, size: Size, encoders: Sequence[str] = ("state", "scratch", "random", "autoencoder")) -> None:
    """All that the report stage reads, under `root`."""
    data = trajectories(size)
    folder = root / "data/trajectories" / TASK
    folder.mkdir(parents=True)
    save_trajectories(data, folder / FILE)
    write_manifest(folder, {"stage": "collect"})
    _write_frames(root / "data/frames" / TASK, size)
    for encoder, path in _parts(root, encoders):
        path.mkdir(parents=True)
        reward_error(encoder, size).write_parquet(path / "reward_error.parquet")
        learning(encoder, size).write_parquet(path / "learning.parquet")
        dynamics(encoder, size).write_parquet(path / "dynamics.parquet")
        calibration(encoder, size).write_parquet(path / "calibration.parquet")
        recordings(encoder, size).write_parquet(path / "recordings.parquet")
        write_manifest(path, {"stage": "evaluate"})
    for encoder in encoders:
        write_probes(root / "results/probes" / encoder / TASK, {"random": "random_cnn"}.get(encoder, encoder), size)
    for encoder in ("state", "scratch"):
        path = root / "results/online" / encoder / TASK / "dreamerv3"
        path.mkdir(parents=True)
        online(encoder).write_parquet(path / "online.parquet")
        write_manifest(path, {"stage": "finetune"})


def _parts(root: Path, encoders: Sequence[str]) -> Iterator[tuple[str, Path]]:
    for encoder in encoders:
        yield {"random": "random_cnn"}.get(encoder, encoder), root / "results/parts" / encoder / TASK / "dreamerv3"


def _write_frames(folder: Path, size: Size) -> None:
    folder.mkdir(parents=True)
    picture = np.linspace(0, 255, 64 * 10 * 64 * 3).reshape(64, 640, 3).astype(np.uint8)
    Image.fromarray(picture).save(folder / "contact_sheet.png")
    shifted = [
        {"task": TASK, "variant": look.variant, "axis": look.axis, "severity": look.severity, "split": look.split,
         "pixel_change": 20 * look.severity, "perceptual_change": 0.2 * look.severity, "body_visible": 1.0, "body_contrast": 60.0,
         "body_contrast_default": 70.0, "states": 16}
        for look in looks(size)[1:]
    ]  # fmt: skip
    pl.DataFrame(shifted, LOOKS).write_parquet(folder / "look_statistics.parquet")
    sets = [FrameSet(look, [_shard(folder, size)] if look.axis == "default" else []) for look in looks(size)]
    save_frames_index(Frames(TASK, 64, "0", "fast", sets), folder)
    assert json.loads((folder / "looks.json").read_text())["task"] == TASK
    write_manifest(folder, {"stage": "render"})


def frame(episode: int, t: int) -> np.ndarray:
    """uint8 [64, 64, 3], unlike that of any other step."""
    return np.random.default_rng([episode, t]).integers(0, 256, (8, 8, 3), dtype=np.uint8).repeat(8, 0).repeat(8, 1)


def _shard(folder: Path, size: Size) -> FrameShard:
    """All episodes of the default look, in one tar."""
    (folder / "default").mkdir()
    episodes, length = list(range(2 * size.episodes)), size.steps + 1
    write_frame_shard(folder / "default/000000.tar", ((e, t, frame(e, t)) for e in episodes for t in range(length)))
    return FrameShard("default/000000.tar", episodes, [[e * length, (e + 1) * length] for e in episodes])
