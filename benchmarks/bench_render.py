"""Rendering stored states to shards, all cores, against bare `physics.render` of one process x cores, same quality.

The bare processes run on all cores at once and in one thread each, as ours do, so that one of them is worth one core and
whatever else the machine is doing slows both sides alike.
"""

import statistics
import tempfile
import time
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path

from benchmarks import Row

TASK = "cartpole_swingup"
REPEAT, EPISODE_STEPS = 4, 400
ROWS = EPISODE_STEPS // REPEAT + 1
SHARDS_PER_WORKER = {64: 6, 256: 2}  # of one episode each, per timed round
PAIRS = 3


def measure() -> list[Row]:
    """Frames per second at 64 and 256 pixels, PNG and tar included; median of alternating pairs."""
    from pipeline.parallel import process_pool, worker_count

    rows: list[Row] = []
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        cores = worker_count(0)
        with process_pool(0) as pool, process_pool(0) as bare_pool:
            bare_pool.submit(_record, folder, max(SHARDS_PER_WORKER.values()) * cores).result()
            for size in SHARDS_PER_WORKER:
                list(bare_pool.map(bare_frames_per_second, [size] * cores, [50] * cores))
                rows.append(_measure_size(size, cores, folder, pool, bare_pool))
    return rows


def _measure_size(size: int, cores: int, folder: Path, pool: ProcessPoolExecutor, bare_pool: ProcessPoolExecutor) -> Row:
    from datasets.frames import Look
    from pipeline.parallel import map_shards
    from pipeline.sim.replay import RenderJob, render_shard

    look = Look("default", "default", 0.0, 0, "id")
    shards = SHARDS_PER_WORKER[size] * cores
    jobs = [RenderJob(folder, look, size, 0, "fast", (i,), folder / f"{size}-{i}.tar") for i in range(shards)]
    list(map_shards(render_shard, jobs, pool))
    pairs = []
    for _ in range(PAIRS):
        bare = sum(bare_pool.map(bare_frames_per_second, [size] * cores, [SHARDS_PER_WORKER[size] * ROWS] * cores))
        start = time.perf_counter()
        list(map_shards(render_shard, jobs, pool))
        pairs.append((shards * ROWS / (time.perf_counter() - start), bare))
    ours, bare = (statistics.median(rates) for rates in zip(*pairs, strict=True))
    ratio = statistics.median(ours / bare for ours, bare in pairs)
    detail = (
        f"{TASK}, fast: {ours:.0f} frames/s to shards on {cores} cores; {cores} of physics.render {bare:.0f}/s; {PAIRS} pairs"
    )
    return {"id": f"render_{size}_vs_bare", "ratio": ratio, "detail": detail}


def _record(folder: Path, episodes: int) -> None:
    """A published trajectory folder of short random episodes."""
    from datasets.episodes import EpisodeFacts
    from datasets.manifest import write_manifest
    from datasets.trajectories import FILE, write_trajectories
    from pipeline.sim.env import TaskEnv
    from pipeline.sim.recording import record_episode, uniform

    env = TaskEnv(TASK, REPEAT, EPISODE_STEPS)
    facts = [EpisodeFacts("random", seed, True) for seed in range(episodes)]
    played = ((record_episode(env, about.seed, uniform(env, about.seed)), about) for about in facts)
    write_trajectories(folder / FILE, TASK, played, {})
    write_manifest(folder)


def bare_frames_per_second(size: int, frames: int) -> float:
    """dm_control's own `physics.render` at `fast` quality of states in motion (in a process of its own)."""
    import numpy as np

    from pipeline.sim.mj import suite
    from pipeline.sim.names import TASKS

    env = suite.load(*TASKS[TASK], task_kwargs={"random": 0})
    env.reset()
    env.physics.model.vis.quality.offsamples = 0
    without = {"shadow": False, "reflection": False}
    env.physics.render(size, size, camera_id=0, render_flag_overrides=without)
    spent, rng = 0.0, np.random.default_rng(0)
    for _ in range(frames):
        env.physics.set_control(rng.uniform(-1, 1, env.physics.model.nu))
        env.physics.step()
        start = time.perf_counter()
        env.physics.render(size, size, camera_id=0, render_flag_overrides=without)
        spent += time.perf_counter() - start
    return frames / spent
