"""Check that recorded episodes can be had again, bit for bit: simulated from seed and actions, and drawn.

    python -m pipeline.replay --task cartpole_swingup                 # every episode
    python -m pipeline.replay --task cartpole_swingup --episodes 20   # twenty, spread over the file

Compares physics states, observations, rewards, and (where frames were rendered) the pictures of the default look, drawn both
from the new simulation and from the stored states, which an environment of the user's own does not have. Exit status 1 unless
all are the same. It holds on the machine and with the versions that recorded the file; elsewhere rounding may differ.
"""

from pathlib import Path

from datasets.errors import UserError
from pipeline.collect import known_task
from pipeline.log import log, track
from pipeline.params import load_params
from pipeline.stage import run


def main(task: str, episodes: int = 0, params: Path = Path("params.yaml")) -> None:
    """Simulate and draw one task's episodes again, and compare."""
    from importlib.metadata import version

    import numpy as np

    from datasets.trajectories import TrajectoryReader
    from pipeline.parallel import map_shards, process_pool
    from pipeline.sim.check import CheckJob, check_episode
    from pipeline.sim.replay import require_states

    settings = load_params(params)
    trajectories, frames = Path("data/trajectories") / known_task(task, settings), Path("data/frames") / task
    source = settings.source_of(task)
    with TrajectoryReader(trajectories) as data:
        if source is None:
            require_states(data)
        total, recorded = len(data.index.episode_ends), data.index.meta.get("version_mujoco")
    if source is None and recorded != version("mujoco"):
        log(f"{trajectories} was recorded with MuJoCo {recorded}; here it is {version('mujoco')}: steps may differ")
    chosen = np.unique(np.linspace(0, total - 1, min(episodes, total) if episodes else total).astype(int)).tolist()
    jobs = [CheckJob(trajectories, frames if frames.is_dir() else None, episode, source) for episode in chosen]
    with process_pool(settings.compute.workers) as pool:
        done = [replayed for _, replayed in track(map_shards(check_episode, jobs, pool), len(jobs), "episode", f"replay {task}")]
    for replayed in sorted(done, key=lambda r: r.episode):
        if not replayed.exact:
            log(
                f"episode {replayed.episode} ({replayed.variant}): of {replayed.steps} steps {replayed.states} states and"
                f" {replayed.rewards} rewards, of {replayed.pictures} frames {replayed.frames} are the same"
            )
    steps, pictures = sum(r.steps for r in done), sum(r.pictures for r in done)
    exact = sum(r.exact for r in done)
    log(f"{task}: {exact} of {len(done)} episodes the same to the bit: {steps} steps, {pictures} frames of them compared")
    if exact < len(done):
        raise UserError(f"{trajectories} does not replay exactly here: other versions, another machine, or a damaged recording")


if __name__ == "__main__":
    run(main)
