"""Render one task's trajectories under every look.

    python -m pipeline.render --task cartpole_swingup
    python -m pipeline.render --task cartpole_swingup --contact-sheet sheet.png --videos videos

The same stored physics states are restored and drawn: all episodes under the default look and under those that models train
on (`render.train_looks`), the validation episodes under every other (axis x severity x draw of `render`), those with resized
bodies under the look of axis size that they were collected for. A user's own environment (docs/environments.md) has one look:
its episodes are played again and drawn, and refused if they come out otherwise. Writes WebDataset tars of whole episodes,
`looks.json`, `look_statistics.parquet` (what each look does to the pictures, measured) and `contact_sheet.png`.

The second form draws what has been rendered: every axis by severity as one picture, and a short video of each look.

Resume unit: one tar. Tiny variant: `render: {axes: [camera], severities: [1.0], ...}` in a copy of params.yaml, given with
`--params COPY`.
"""

from pathlib import Path
from typing import TYPE_CHECKING

from datasets.errors import DataError, UserError
from datasets.frames import (
    DEFAULT,
    DEFAULT_LOOK,
    Frames,
    FrameSet,
    FrameShard,
    Look,
    Quality,
    load_frames_index,
    save_frames_index,
)
from pipeline.collect import known_task
from pipeline.log import log, track
from pipeline.looks import looks_of
from pipeline.params import Import, Params, load_params
from pipeline.stage import run
from pipeline.work import Work, code_digest, open_work

if TYPE_CHECKING:
    from concurrent.futures import Executor

    from datasets.episodes import EpisodeIndex
    from pipeline.sim.measure import LookStatistics
    from pipeline.sim.source import Source

STATISTICS = "look_statistics.parquet"
SHEET = "contact_sheet.png"
_SIM = "measure render replay tasks variants"
_LOOKS = "axis calibration camera color distractors draw lighting pattern rotation size texture"
_CODE = [f"pipeline/{name}.py" for name in ("render", "looks", "pictures")]
_CODE += ["datasets/film.py", "datasets/frames.py", "datasets/png.py", "pipeline/sim/looks/colors.json"]
_CODE += [f"pipeline/sim/{name}.py" for name in _SIM.split()] + [f"pipeline/sim/looks/{name}.py" for name in _LOOKS.split()]


def main(task: str, params: Path = Path("params.yaml"), contact_sheet: Path | None = None, videos: Path | None = None) -> None:
    """Render one task's trajectories under every look, as data/frames/TASK; or picture what has been rendered."""
    from importlib.metadata import version

    from datasets.manifest import digest, sha256_file
    from pipeline.sim.gl import require_gl

    settings = load_params(params)
    trajectories, frames = Path("data/trajectories") / known_task(task, settings), Path("data/frames") / task
    if contact_sheet or videos:
        _picture(trajectories, frames, contact_sheet, videos)
        return
    if spec := settings.imports.get(task):
        _import(task, spec, settings, trajectories, frames)
        return
    if source := settings.source_of(task):
        _play(source, settings, trajectories, frames)
        return
    _check_images(settings)
    key = {
        "task": task, "seed": settings.seed, "render": settings.render.model_dump(mode="json", by_alias=True),
        "images": [sha256_file(Path(image)) for image in settings.render.images], "trajectories": digest(trajectories),
        "gl": require_gl(), "mujoco": version("mujoco"), "code": code_digest(*_CODE),
    }  # fmt: skip
    with open_work("render", frames, key) as work:
        if work is not None:
            _render(task, settings, trajectories, work)


def _import(task: str, spec: Import, settings: Params, trajectories: Path, out: Path) -> None:
    """Take over another project's frames: one look, the default."""
    from datasets.manifest import digest
    from datasets.trajectories import TrajectoryReader
    from pipeline.importing import CODE, import_frames
    from pipeline.pictures import save_contact_sheet

    per_shard = settings.render.episodes_per_shard
    key = {
        "task": task, "camera": spec.camera, "episodes_per_shard": per_shard, "trajectories": digest(trajectories),
        "code": code_digest(*CODE, "pipeline/pictures.py", "datasets/frames.py", "datasets/png.py", "datasets/film.py"),
    }  # fmt: skip
    with open_work("render", out, key) as work, TrajectoryReader(trajectories) as data:
        if work is None:
            return
        imported = import_frames(spec, task, data.index, work.result, per_shard, track)
        _write_statistics([], work.result / STATISTICS)
        save_frames_index(imported, work.result)
        save_contact_sheet(work.result / SHEET, work.result, imported, data.index)


def _play(source: "Source", settings: Params, trajectories: Path, out: Path) -> None:
    """Draw an environment of the user's own while its episodes are played again: one look, the default."""
    from datasets.manifest import digest
    from datasets.trajectories import TrajectoryReader
    from pipeline.environments import CODE, environment_digest
    from pipeline.parallel import map_shards, open_executor
    from pipeline.pictures import save_contact_sheet
    from pipeline.sim.gym_env import GymEnv
    from pipeline.sim.gym_replay import PlayJob, play_shard

    task, size, per_shard = source.name, settings.render.size, settings.render.episodes_per_shard
    made_of = environment_digest(source)
    key = {
        "task": task, "size": size, "episodes_per_shard": per_shard, "trajectories": digest(trajectories), "environment": made_of,
        "code": code_digest(*CODE, "pipeline/render.py", "pipeline/pictures.py", "datasets/frames.py", "datasets/png.py"),
    }  # fmt: skip
    with open_work("render", out, key) as work, TrajectoryReader(trajectories) as data:
        if work is None:
            return
        if data.index.meta.get("environment") != made_of:
            raise DataError(f"{source.key} changed since {trajectories} was collected; run collect again")
        shards = _shards(data.index, DEFAULT_LOOK, per_shard)
        (work.result / DEFAULT).mkdir(exist_ok=True)
        jobs = [PlayJob(trajectories, source, size, tuple(s.episodes), work.result / s.file) for s in shards]
        missing = [job for job in jobs if not job.out.exists()]
        with open_executor(settings.compute) as pool:
            done = map_shards(play_shard, missing, pool)
            for _ in track(done, len(jobs), "shard", f"render {task}", initial=len(jobs) - len(missing)):
                pass
        rendered = Frames(task, size, GymEnv(source, 1, 1).camera, "own", [FrameSet(DEFAULT_LOOK, shards)])
        _write_statistics([], work.result / STATISTICS)
        save_frames_index(rendered, work.result)
        save_contact_sheet(work.result / SHEET, work.result, rendered, data.index)


def _render(task: str, settings: Params, trajectories: Path, work: Work) -> None:
    from datasets.trajectories import TrajectoryReader
    from pipeline.parallel import map_shards, open_executor
    from pipeline.pictures import save_contact_sheet
    from pipeline.sim.render import camera_index, camera_names
    from pipeline.sim.replay import RenderJob, check_states, render_shard
    from pipeline.sim.tasks import Simulation

    options, simulation = settings.render, Simulation(task)
    camera = camera_index(simulation.model, options.camera_of(task))
    with TrajectoryReader(trajectories) as data:
        check_states(data, simulation)
        index = data.index
    sets = [FrameSet(look, _shards(index, look, options.episodes_per_shard)) for look in _looks(settings, index)]
    jobs = []
    for frames in sets:
        (work.result / frames.look.variant).mkdir(exist_ok=True)
        for shard in frames.shards:
            out = work.result / shard.file
            jobs.append(RenderJob(trajectories, frames.look, options.size, camera, options.quality, tuple(shard.episodes), out))
    missing = [job for job in jobs if not job.out.exists()]
    rendered = Frames(task, options.size, camera_names(simulation.model)[camera] or str(camera), options.quality, sets)
    with open_executor(settings.compute) as pool:
        shards = map_shards(render_shard, missing, pool)
        for _ in track(shards, len(jobs), "shard", f"render {task}", initial=len(jobs) - len(missing)):
            pass
        _measure(trajectories, rendered, camera, options.quality, work.result / STATISTICS, pool)
    save_frames_index(rendered, work.result)
    save_contact_sheet(work.result / SHEET, work.result, rendered, index)


def _looks(settings: Params, index: "EpisodeIndex") -> list[Look]:
    """The default look, those that models train on, those held out; of axis size, what was collected.

    Raises:
        UserError: looks of axis size are asked for that were not collected.
    """
    wanted = looks_of(settings, index.task)
    for look in wanted:
        if not look.paired and look not in index.sizes:
            raise UserError(
                f"the trajectories of {index.task} hold no episodes of {look.variant}: run collect again (`dvc repro`)"
            )
    return wanted


def _shards(index: "EpisodeIndex", look: Look, episodes_per_shard: int) -> list[FrameShard]:
    """How one look's episodes are spread over tars."""
    if look.split == "id":
        episodes = sorted(index.episodes(validation=False) + index.episodes(validation=True))
    else:
        episodes = index.episodes(True, DEFAULT if look.paired else look.variant)
    return index.shards(look.variant, episodes, episodes_per_shard)


def _measure(trajectories: Path, frames: Frames, camera: int, quality: Quality, out: Path, pool: "Executor") -> None:
    from pipeline.parallel import map_shards
    from pipeline.sim.measure import MeasureJob, measure_look

    looks = [s.look for s in frames.sets if s.look.axis != DEFAULT]
    jobs = [MeasureJob(trajectories, look, frames.size, camera, quality) for look in looks]
    done = {job.look.variant: statistics for job, statistics in map_shards(measure_look, jobs, pool)}
    _write_statistics([done[look.variant] for look in looks], out)


def _write_statistics(statistics: "list[LookStatistics]", out: Path) -> None:
    import polars as pl

    from analysis.tables import LOOKS

    table = pl.DataFrame([one.row() for one in statistics], LOOKS)
    table.with_columns(pl.col(pl.Float64).fill_nan(None)).write_parquet(out)


def _check_images(settings: Params) -> None:
    from pipeline.sim.looks.pattern import check_images

    check_images(settings.render.images)


def _picture(trajectories: Path, folder: Path, contact_sheet: Path | None, videos: Path | None) -> None:
    from datasets.manifest import verify
    from datasets.trajectories import TrajectoryReader
    from pipeline.pictures import save_contact_sheet, save_videos
    from pipeline.work import replacing

    frames = load_frames_index(folder)
    verify(folder)
    with TrajectoryReader(trajectories) as data:
        if contact_sheet:
            with replacing(contact_sheet) as temporary:
                save_contact_sheet(temporary, folder, frames, data.index)
            log(f"{contact_sheet}: {len(frames.sets)} looks")
        if videos:
            save_videos(videos, folder, frames, data.index)
            log(f"{videos}: {len(frames.sets)} videos")


if __name__ == "__main__":
    run(main)
