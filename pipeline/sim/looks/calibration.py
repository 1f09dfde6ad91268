"""What severity means: a look of severity s differs from the default by a 1 - SSIM of about `SSIM_AT_1` x s, on every axis.

The mean over the study's seven tasks; a single task, state or draw differs (docs/looks.md). The table is made by
`python -m benchmarks.calibrate_looks`. One value is set by hand: at severity 1 color is the benchmark's own setting, in full.
Size has no entry: its severity is how far the scale goes.
"""

import numpy as np

SSIM_AT_1 = 0.15
SEVERITIES = (0.25, 0.5, 0.75, 1.0)
# Amplitudes at SEVERITIES, in units of the axis's own constants.
CALIBRATION: dict[str, tuple[float, ...]] = {
    "color": (0.265, 0.433, 0.584, 1.0),
    "texture": (0.468, 0.683, 0.864, 1.03),
    "lighting": (0.312, 0.518, 0.747, 1.11),
    "camera": (0.0655, 0.125, 0.205, 0.327),
    "drift": (0.131, 0.245, 0.401, 0.632),
    "distractors": (0.216, 0.354, 0.487, 0.618),
}


def amplitude(axis: str, severity: float) -> float:
    """How far `axis` goes at `severity` in [0, 1], in units of the constants in the axis's own file; 0 at 0, rising."""
    if axis not in CALIBRATION:
        return severity
    return float(np.interp(severity, (0.0, *SEVERITIES), (0.0, *CALIBRATION[axis])))
