"""Feature statistics as LeRobot stores them: min, max, mean, std, count, of an episode and of all together.

Images count in [0, 1], per channel, shape [3, 1, 1], over every pixel (LeRobot itself samples). Quantiles are left out.
Source: huggingface/lerobot, src/lerobot/datasets/compute_stats.py (`compute_episode_stats`, `aggregate_stats`).
"""

from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

Stats = dict[str, NDArray[np.float64]]


def image_stats(frames: NDArray[np.uint8]) -> Stats:
    """Statistics of uint8 [n, H, W, 3]."""
    counts = np.stack([np.bincount(frames[..., c].ravel(), minlength=256) for c in range(3)])  # [3, 256]
    values = np.arange(256) / 255
    mean = (counts * values).sum(1) / counts.sum(1)
    variance = (counts * (values - mean[:, None]) ** 2).sum(1) / counts.sum(1)
    low, high = counts.astype(bool).argmax(1) / 255, 1 - counts[:, ::-1].astype(bool).argmax(1) / 255
    named = {"min": low, "max": high, "mean": mean, "std": np.sqrt(variance)}
    return {name: value.reshape(3, 1, 1) for name, value in named.items()} | {"count": np.array([float(len(frames))])}


def vector_stats(values: NDArray[np.generic]) -> Stats:
    """Statistics of [n] or [n, D], by column: arrays [D] (D = 1 for [n])."""
    rows = values.reshape(len(values), -1).astype(np.float64)
    named = {"min": rows.min(0), "max": rows.max(0), "mean": rows.mean(0), "std": rows.std(0)}
    return named | {"count": np.array([float(len(rows))])}


def together(episodes: Sequence[Mapping[str, Stats]]) -> dict[str, Stats]:
    """Statistics of all episodes from those of each: the parallel-variance formula, weighted by count."""
    made = {}
    for feature in episodes[0]:
        parts = [episode[feature] for episode in episodes]
        mean, std = (np.stack([part[name] for part in parts]) for name in ("mean", "std"))
        count = np.array([part["count"][0] for part in parts])
        share = (count / count.sum()).reshape(-1, *[1] * (mean.ndim - 1))
        centre = (share * mean).sum(0)
        made[feature] = {
            "min": np.stack([part["min"] for part in parts]).min(0),
            "max": np.stack([part["max"] for part in parts]).max(0),
            "mean": centre,
            "std": np.sqrt((share * (std**2 + (mean - centre) ** 2)).sum(0)),
            "count": np.array([count.sum()]),
        }
    return made
