"""Made-up per-episode sums and returns whose truth about each claim is chosen."""

from collections.abc import Mapping, Sequence

import numpy as np
import polars as pl

from analysis.sums import EPISODE, STATISTICS
from analysis.tables import ONLINE

PVRS = ("clip_vitb16", "dino_vits16", "r3m_rn50", "vip_rn50", "mae_vitb", "dinov2_vits14", "siglip_b16", "imagenet_rn50")
CONTROLS = ("state", "scratch", "random_cnn", "autoencoder")
SEEDS = (0, 1, 2, 3)
TASKS = ("cartpole_swingup", "walker_walk")
RANDOM = 100.0  # G_random
_QUALITIES = ("random", "expert")
_STEPS = 50


def sums(
    encoders: Sequence[str] = (*CONTROLS, *PVRS),
    growth: Mapping[str, float] = {},
    error: Mapping[str, float] = {},
    axes: Sequence[str] = ("texture", "camera"),
    seeds: Sequence[int] = SEEDS,
    tasks: Sequence[str] = TASKS,
    noise: float = 0.03,
    seed: int = 0,
) -> pl.DataFrame:
    """As `analysis.sums.episode_sums`.

    Args:
        growth: encoder -> log of the error at severity 1 over that under the default look.
        error: encoder -> log of the error under the default look.
        noise: standard deviation of either between runs.
    """
    rng = np.random.default_rng(seed)
    looks = [("default", 0.0), *((axis, severity) for axis in axes for severity in (0.5, 1.0))]
    rows = []
    for task in tasks:
        luck = 0.1 * rng.normal(size=8)  # of an episode, the same for all
        for encoder in encoders:
            for model in seeds:
                own = error.get(encoder, 0.0) + noise * rng.normal()
                steep = growth.get(encoder, 0.0) + (noise * rng.normal() if encoder != "state" else 0)
                for axis, severity in looks:
                    for episode, lucky in enumerate(luck):
                        quality = _QUALITIES[episode % 2]
                        reward = {"random": RANDOM, "expert": 800.0}[quality] / _STEPS
                        for horizon in (0, 1):
                            mae = float(np.exp(own + steep * severity + lucky)) * (1 + horizon)
                            row = (encoder, "dreamerv3", model, task, f"{axis}-{severity}", axis, severity)
                            row += ("id" if axis == "default" else "ood", quality, episode, horizon, horizon)
                            spread = 400.0 if horizon else 0.0
                            means = (1.0, reward, reward**2 + spread, reward, mae**2, mae)
                            rows.append((*row, *(_STEPS * value for value in means)))
    names = [*EPISODE, "horizon", "horizon_to", *STATISTICS]
    table = pl.DataFrame(rows, schema=names, orient="row", infer_schema_length=None)
    return table.with_columns(pl.col(STATISTICS).cast(pl.Float64))


def online(
    score: Mapping[str, float],
    algorithm: str = "dreamerv3",
    seeds: Sequence[int] = SEEDS,
    tasks: Sequence[str] = TASKS,
    noise: float = 0.02,
    seed: int = 1,
) -> pl.DataFrame:
    """Curves that rise to a normalised return of `score` (encoder -> last one), half of it at the first of three steps."""
    rng = np.random.default_rng(seed)
    rows = []
    for task in tasks:
        for encoder, last in score.items():
            for model in seeds:
                reached = last + noise * rng.normal()
                for step, share in ((0, 0.5), (1000, 0.75), (2000, 1.0)):
                    value = RANDOM + (1000 - RANDOM) * reached * share
                    row = (algorithm, encoder, task, model, "offline", "online", "p", "default", "default", 0.0, "id")
                    rows.append((*row, step, value, 10.0, 10))
    return pl.DataFrame(rows, schema=ONLINE, orient="row")


def dynamics(error: Mapping[str, float], seeds: Sequence[int] = SEEDS, tasks: Sequence[str] = TASKS) -> pl.DataFrame:
    """Errors of predicted dynamics, one episode each; under a shifted look they are something else."""
    rows = [
        (encoder, "dreamerv3", model, task, axis, "kl", 10, value if axis == "default" else 99.0)
        for encoder, value in error.items() for model in seeds for task in tasks for axis in ("default", "texture")
    ]  # fmt: skip
    return pl.DataFrame(rows, schema=["encoder", "algorithm", "seed", "task", "axis", "metric", "n", "value"], orient="row")


def properties(language: Sequence[str] = (), vit: Sequence[str] = (), web: Sequence[str] = ()) -> pl.DataFrame:
    """The registry's columns for PVRS."""
    rows = [
        {"encoder": name, "architecture": "ViT-B/16" if name in vit else "ResNet-50", "objective": "image-text",
         "data": "LAION-2B" if name in web else "ImageNet-1k", "images": 1000, "language": name in language, "temporal": False}
        for name in PVRS
    ]  # fmt: skip
    return pl.DataFrame(rows)
