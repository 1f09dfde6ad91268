"""Render one task's trajectories under every look.

    python -m pipeline.render --task cartpole_swingup

The same stored physics states are restored and drawn: all episodes under the default look, the validation episodes under
every other (axis x severity x draw of `render` in params.yaml). Writes WebDataset tars of whole episodes, `looks.json`
and `contact_sheet.png`. Resume unit: one tar. Tiny variant: `render: {axes: [camera], severities: [1.0], ...}` in a
copy of params.yaml, given with `--params COPY`.
"""

from pathlib import Path
from typing import TYPE_CHECKING

from datasets.frames import Frames, FrameSet, FrameShard, Look, save_frames_index
from pipeline.collect import known_task
from pipeline.log import track
from pipeline.params import Params, load_params
from pipeline.stage import run
from pipeline.work import Work, code_digest, open_work

if TYPE_CHECKING:
    from datasets.trajectories import Trajectories

_SIM = "contact_sheet look_camera look_lighting look_texture render replay rotation tasks variants"
_CODE = ["pipeline/render.py", "datasets/frames.py", *(f"pipeline/sim/{name}.py" for name in _SIM.split())]


def main(task: str, params: Path = Path("params.yaml")) -> None:
    """Render one task's trajectories under every look, as data/frames/TASK."""
    from importlib.metadata import version

    from datasets.manifest import digest
    from pipeline.sim.gl import require_gl

    settings = load_params(params)
    trajectories = Path("data/trajectories") / known_task(task, settings)
    key = {
        "task": task, "seed": settings.seed, "render": settings.render.model_dump(mode="json", by_alias=True),
        "trajectories": digest(trajectories), "gl": require_gl(), "mujoco": version("mujoco"), "code": code_digest(*_CODE),
    }  # fmt: skip
    with open_work("render", Path("data/frames") / task, key) as work:
        if work is not None:
            _render(task, settings, trajectories, work)


def _render(task: str, settings: Params, trajectories: Path, work: Work) -> None:
    from datasets.trajectories import load_trajectories
    from pipeline.parallel import map_shards, process_pool
    from pipeline.sim.contact_sheet import save_contact_sheet
    from pipeline.sim.render import camera_index, camera_names
    from pipeline.sim.replay import RenderJob, render_shard
    from pipeline.sim.tasks import Simulation
    from pipeline.sim.variants import looks

    options = settings.render
    data = load_trajectories(trajectories)
    model = Simulation(task).model
    index = camera_index(model, options.camera)
    sets = [
        FrameSet(look, _shards(data, look, options.episodes_per_shard))
        for look in looks(options.axes, options.severities, options.looks_per_severity, settings.seed)
    ]
    jobs = []
    for frames in sets:
        (work.result / frames.look.variant).mkdir(exist_ok=True)
        for shard in frames.shards:
            out = work.result / shard.file
            jobs.append(RenderJob(trajectories, frames.look, options.size, index, options.quality, tuple(shard.episodes), out))
    missing = [job for job in jobs if not job.out.exists()]
    with process_pool(settings.compute.workers) as pool:
        shards = map_shards(render_shard, missing, pool)
        for _ in track(shards, len(jobs), "shard", f"render {task}", initial=len(jobs) - len(missing)):
            pass
    save_frames_index(Frames(task, options.size, camera_names(model)[index] or str(index), options.quality, sets), work.result)
    save_contact_sheet(work.result / "contact_sheet.png", [frames.look for frames in sets], data, index, options.quality)


def _shards(data: "Trajectories", look: Look, episodes_per_shard: int) -> list[FrameShard]:
    """How one look's episodes are spread over tars: all for the default look, the held-out ones for the others."""
    episodes = list(range(len(data.episode_ends))) if look.axis == "default" else data.episodes(validation=True)
    shards = []
    for number, first in enumerate(range(0, len(episodes), episodes_per_shard)):
        chosen = episodes[first : first + episodes_per_shard]
        rows = [[data.rows_of(e).start, data.rows_of(e).stop] for e in chosen]
        shards.append(FrameShard(f"{look.variant}/{number:06d}.tar", chosen, rows))
    return shards


if __name__ == "__main__":
    run(main)
