"""What a look does to the pictures, measured: against the default look of the same states.

Pixel change is the mean absolute difference, in grey levels of 255. The perceptual measure is 1 - SSIM (Wang et al. 2004,
Gaussian window, on each colour channel, then averaged): 0 for the same picture, 1 where no structure is shared.
"""

from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import gaussian_filter

from datasets.frames import DEFAULT, DEFAULT_LOOK, Look, Quality
from pipeline.sim.replay import open_reader, open_replayer

MEASURED_STATES = 16
_SIGMA, _TRUNCATE = 1.5, 3.5
_C1, _C2 = (0.01 * 255) ** 2, (0.03 * 255) ** 2
_DEFAULT = DEFAULT_LOOK


@dataclass(frozen=True)
class LookStatistics:
    """Means over the measured states of one look.

    Attributes:
        pixel_change: mean absolute difference from the default look, 0..255; nan where the look has states of its own.
        perceptual_change: 1 - SSIM against the default look; nan likewise.
        body_visible: pixels that show a body, over those that show it under the default look (of the same body).
        body_contrast: distance of the bodies' mean colour from the background's, 0..255 a channel.
        body_contrast_default: the same under the default look.
        states: how many were measured.
    """

    task: str
    variant: str
    axis: str
    severity: float
    split: str
    pixel_change: float
    perceptual_change: float
    body_visible: float
    body_contrast: float
    body_contrast_default: float
    states: int

    def row(self) -> dict[str, object]:
        """As a table's row."""
        return asdict(self)


@dataclass(frozen=True)
class MeasureJob:
    """One look to be measured, as a worker is told."""

    trajectories: Path
    look: Look
    size: int
    camera: int
    quality: Quality


def measure_look(job: MeasureJob) -> LookStatistics:
    """Draw a few states, spread over the look's held-out episodes, under the look and under the default one."""
    index = open_reader(job.trajectories).index
    episodes = index.episodes(True, DEFAULT if job.look.paired else job.look.variant)
    first, last = index.rows_of(episodes[0]).start, index.rows_of(episodes[-1]).stop - 1
    rows = np.linspace(first, last, MEASURED_STATES).astype(int).tolist()
    plain, plain_masks = _draw(_DEFAULT if job.look.paired else job.look, job, rows)
    shifted, masks = _draw(job.look, job, rows)
    same = not job.look.paired
    differences = [np.abs(a.astype(np.int16) - b).mean() for a, b in zip(plain, shifted, strict=True)]
    perceived = [1 - ssim(a, b) for a, b in zip(plain, shifted, strict=True)]
    return LookStatistics(
        index.task, job.look.variant, job.look.axis, job.look.severity, job.look.split,
        float("nan") if same else float(np.mean(differences)), float("nan") if same else float(np.mean(perceived)),
        float(np.sum(masks)) / max(float(np.sum(plain_masks)), 1.0), _contrast(shifted, masks), _contrast(plain, plain_masks),
        len(rows),
    )  # fmt: skip


def ssim(a: NDArray[np.uint8], b: NDArray[np.uint8]) -> float:
    """Structural similarity of two uint8 [H, W, 3] pictures, in [-1, 1] (equation 13 of Wang et al. 2004)."""
    x, y = a.astype(np.float64), b.astype(np.float64)

    def blur(values: NDArray[np.float64]) -> NDArray[np.float64]:
        return np.asarray(gaussian_filter(values, (_SIGMA, _SIGMA, 0), truncate=_TRUNCATE))

    mx, my = blur(x), blur(y)
    vx, vy, vxy = blur(x * x) - mx * mx, blur(y * y) - my * my, blur(x * y) - mx * my
    similarity = (2 * mx * my + _C1) * (2 * vxy + _C2) / ((mx * mx + my * my + _C1) * (vx + vy + _C2))
    return float(similarity.mean())


def _draw(look: Look, job: MeasureJob, rows: list[int]) -> tuple[list[NDArray[np.uint8]], list[NDArray[np.bool_]]]:
    frames, masks = [], []
    replayer = open_replayer(job.trajectories, look, job.size, job.camera, job.quality)
    for row in rows:
        frames.append(replayer.frame(row))
        masks.append(replayer.renderer.body_mask())
    return frames, masks


def _contrast(frames: list[NDArray[np.uint8]], masks: list[NDArray[np.bool_]]) -> float:
    seen, mask = np.stack(frames).astype(np.float64), np.stack(masks)
    if not mask.any() or mask.all():
        return 0.0
    return float(np.abs(seen[mask].mean(axis=0) - seen[~mask].mean(axis=0)).mean())
