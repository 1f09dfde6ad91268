"""Collecting episodes, all cores, against the bare dm_control loop of one process x cores.

The bare loops run on all cores at once, as ours do, so that whatever else the machine is doing slows both sides alike.
"""

import statistics
import tempfile
import time
from pathlib import Path

from benchmarks import Row

TASK = "cartpole_swingup"
REPEAT, EPISODE_STEPS = 4, 1000
PER_WORKER = 8  # episodes per timed round
PAIRS = 5


def measure() -> list[Row]:
    """Control steps per second of recorded episodes of random actions, files included; median of alternating pairs."""
    from pipeline.parallel import map_shards, process_pool, worker_count
    from pipeline.sim.plans import Plan, play

    cores = worker_count(0)
    with tempfile.TemporaryDirectory() as folder, process_pool(0) as pool, process_pool(0) as bare_pool:
        out = Path(folder)

        def plans(count: int, name: str) -> list[Plan]:
            return [Plan(TASK, REPEAT, EPISODE_STEPS, "uniform", 0, i, out, out / f"{name}-{i}.npz") for i in range(count)]

        list(map_shards(play, plans(4 * cores, "warm"), pool))
        list(bare_pool.map(bare_steps_per_second, [1000] * cores))
        pairs = []
        for _ in range(PAIRS):
            bare = sum(bare_pool.map(bare_steps_per_second, [PER_WORKER * EPISODE_STEPS] * cores))
            start = time.perf_counter()
            list(map_shards(play, plans(PER_WORKER * cores, "timed"), pool))
            pairs.append((PER_WORKER * cores * EPISODE_STEPS / (time.perf_counter() - start), bare))
    ours, bare = (statistics.median(rates) for rates in zip(*pairs, strict=True))
    ratio = statistics.median(ours / bare for ours, bare in pairs)
    detail = (
        f"{TASK}: {ours:.0f} control steps/s on {cores} cores, recorded to files; {cores} bare loops {bare:.0f}/s; {PAIRS} pairs"
    )
    return [{"id": "collect_vs_bare", "ratio": ratio, "detail": detail}]


def bare_steps_per_second(steps: int) -> float:
    """dm_control's own loop with random actions (in a process of its own)."""
    import numpy as np

    from pipeline.sim.mj import suite
    from pipeline.sim.names import TASKS

    env = suite.load(*TASKS[TASK], task_kwargs={"random": 0})
    spec, rng = env.action_spec(), np.random.default_rng(0)
    action = rng.uniform(spec.minimum, spec.maximum)
    start = time.perf_counter()
    for step in range(steps):
        if step % EPISODE_STEPS == 0:
            env.reset()
        if step % REPEAT == 0:
            action = rng.uniform(spec.minimum, spec.maximum)
        env.step(action)
    return steps / (time.perf_counter() - start)
