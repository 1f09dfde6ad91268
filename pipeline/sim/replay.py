"""Drawing stored rows again: restore a state, compute what follows from it, render. No environment step is taken."""

from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache
from importlib.metadata import version
from pathlib import Path
from types import TracebackType

import numpy as np
from numpy.typing import NDArray

from datasets.errors import DataError, UserError
from datasets.frames import Look, Quality, write_frame_shard
from datasets.trajectories import TrajectoryReader
from pipeline.sim.mj import mujoco
from pipeline.sim.render import Renderer
from pipeline.sim.tasks import Simulation


class Replayer:
    """Renders any row of a task's trajectories under one look.

    Args:
        camera: index or name.

    Raises:
        UserError: no working OpenGL, or no such camera.
        DataError: the file's states are not of this MuJoCo's layout.
    """

    def __init__(self, data: TrajectoryReader, look: Look, size: int, camera: int | str, quality: Quality) -> None:
        self._data = data
        try:
            self.simulation = Simulation(data.index.task, look)
        except (ValueError, KeyError, mujoco.FatalError) as error:  # what MuJoCo and dm_control raise for a model
            reason = str(error).splitlines()[0]
            raise UserError(f"{data.index.task} cannot be shown under look {look.variant}: {reason}") from None
        check_states(data, self.simulation)
        self.renderer = Renderer(self.simulation, size, camera, quality)
        self._episode, self._physics = -1, np.empty((0, 0))

    def restore(self, row: int) -> None:
        """Put the simulation into the state of one row."""
        episode = int(np.searchsorted(self._data.index.episode_ends, row, side="right"))
        rows = self._data.index.rows_of(episode)
        if episode != self._episode:
            changes = self._data.model_of(episode)
            self.simulation.restore_model(changes)
            if "hfield_data" in changes:
                self.renderer.upload_terrain()
            self._episode, self._physics = episode, self._data.read("physics", rows)
        self.simulation.restore_state(self._physics[row - rows.start])

    def frame(self, row: int) -> NDArray[np.uint8]:
        """uint8 [size, size, 3] of one row."""
        self.restore(row)
        return self.renderer.render()

    def frames(self, episodes: tuple[int, ...]) -> Iterator[tuple[int, int, NDArray[np.uint8]]]:
        """(episode, t within it, frame) of every row of `episodes`, in order."""
        for episode in episodes:
            rows = self._data.index.rows_of(episode)
            for row in range(rows.start, rows.stop):
                yield episode, row - rows.start, self.frame(row)

    def close(self) -> None:
        """Free the renderer."""
        self.renderer.close()

    def __enter__(self) -> "Replayer":
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self.close()


def require_states(data: TrajectoryReader) -> None:
    """That physics states were recorded.

    Raises:
        DataError: none were.
    """
    if not data.size_of("physics"):
        raise DataError(f"{data.path} holds no physics states (imported data): it cannot be simulated or drawn again")


def check_states(data: TrajectoryReader, simulation: Simulation) -> None:
    """That the stored states can be restored in `simulation`.

    Raises:
        DataError: there are none, or they are of another size (another MuJoCo version lays its state out differently).
    """
    require_states(data)
    if data.size_of("physics") != simulation.state_size:
        raise DataError(
            f"{data.path} was recorded with MuJoCo {data.index.meta.get('version_mujoco', '(unknown)')}, whose states of"
            f" {data.index.task} have {data.size_of('physics')} numbers; here (MuJoCo {version('mujoco')}) they have"
            f" {simulation.state_size}: install that version, or run collect again"
        )


@dataclass(frozen=True)
class RenderJob:
    """One tar to write: whole `episodes` of the trajectories in a folder, under one look."""

    trajectories: Path
    look: Look
    size: int
    camera: int
    quality: Quality
    episodes: tuple[int, ...]
    out: Path


def render_shard(job: RenderJob) -> None:
    """Write one tar, in a worker process, which keeps what it loaded for the next."""
    write_frame_shard(job.out, open_replayer(job.trajectories, job.look, job.size, job.camera, job.quality).frames(job.episodes))


open_reader = lru_cache(maxsize=1)(TrajectoryReader)


@lru_cache(maxsize=2)
def open_replayer(trajectories: Path, look: Look, size: int, camera: int | str, quality: Quality) -> Replayer:
    """A replayer of published trajectories, kept for the worker's next shard (two: the default look's stays beside another)."""
    return Replayer(open_reader(trajectories), look, size, camera, quality)
