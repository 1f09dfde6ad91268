"""How far each axis must go for a look to differ by a given 1 - SSIM: what `pipeline/sim/looks/calibration.py` holds.

    python -m benchmarks.calibrate_looks                  # prints the table to be put there; about ten minutes on two cores
    python -m benchmarks.calibrate_looks --only lighting

Means over the seven tasks of the study, several draws of either split and a few states in motion, at 64 pixels, `fast`.
"""

from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context

import numpy as np

TASKS = (
    "cartpole_swingup", "cheetah_run", "ball_in_cup_catch", "finger_spin", "walker_walk", "pendulum_swingup", "reacher_easy",
)  # fmt: skip
AMPLITUDES = (0.05, 0.1, 0.2, 0.35, 0.5, 0.75, 1.0, 1.3, 1.7)
DRAWS, STATES, SIZE, EVERY = 2, 6, 64, 120  # draws of each split; control steps between states
LOOK = tuple[str, float, int, str]


def main(only: str = "") -> None:
    from pipeline.sim.looks.calibration import SEVERITIES, SSIM_AT_1
    from pipeline.sim.variants import AXES

    axes = [name for name, axis in AXES.items() if axis.paired and only in name]
    jobs = [(task, name) for name in axes for task in TASKS]
    with ProcessPoolExecutor(mp_context=get_context("spawn")) as pool:
        curves = dict(zip(jobs, pool.map(curve, *zip(*jobs, strict=True)), strict=True))
    for name in axes:
        mean = np.mean([curves[task, name] for task in TASKS], axis=0)
        print(name, "1 - SSIM at amplitudes", dict(zip(AMPLITUDES, mean.round(3).tolist(), strict=True)))
        wanted = [SSIM_AT_1 * severity for severity in SEVERITIES]
        found = np.interp(wanted, [0.0, *mean], [0.0, *AMPLITUDES])
        print(f'    "{name}": ({", ".join(f"{a:.3g}" for a in found)}),')


def curve(task: str, axis: str) -> list[float]:
    """1 - SSIM at each amplitude (in a process of its own)."""
    from pipeline.sim.measure import ssim

    plain = _pictures(task, None)
    looks = [(axis, amplitude, seed, split) for amplitude in AMPLITUDES for seed in range(DRAWS) for split in ("id", "ood")]
    changes = [np.mean([1 - ssim(a, b) for a, b in zip(plain, _pictures(task, look), strict=True)]) for look in looks]
    return np.array(changes).reshape(len(AMPLITUDES), -1).mean(axis=1).tolist()


def _pictures(task: str, look: LOOK | None) -> list[np.ndarray]:
    from datasets.frames import Look
    from pipeline.sim.looks import calibration
    from pipeline.sim.render import Renderer
    from pipeline.sim.tasks import Simulation

    calibration.CALIBRATION.clear()  # amplitudes as they are
    seen = None if look is None else Look("x", look[0], look[1], look[2], look[3])
    simulation = Simulation(task, seen)
    simulation.reset(0)
    renderer = Renderer(simulation, SIZE, 0, "fast")
    rng = np.random.default_rng(0)
    pictures = []
    for _ in range(STATES):
        for _ in range(EVERY):
            simulation.advance(rng.uniform(simulation.action_low, simulation.action_high).astype(np.float32), 1)
        pictures.append(renderer.render())
    renderer.close()
    return pictures


if __name__ == "__main__":
    from pipeline.stage import run

    run(main)
