"""Drawing stored rows again: restore a state, compute what follows from it, render. No environment step is taken."""

from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from types import TracebackType

import numpy as np
from numpy.typing import NDArray

from datasets.frames import Look, write_frame_shard
from datasets.trajectories import Trajectories, load_trajectories
from pipeline.sim.render import Quality, Renderer
from pipeline.sim.tasks import Simulation, model_arrays
from pipeline.sim.variants import apply_look


class Replayer:
    """Renders any row of a task's trajectories under one look.

    Args:
        camera: index or name.

    Raises:
        UserError: no working OpenGL, or no such camera.
    """

    def __init__(self, data: Trajectories, look: Look, size: int, camera: int | str, quality: Quality) -> None:
        self._data = data
        self._simulation = simulation = Simulation(data.task)
        self._original = {name: array for name, array in model_arrays(simulation.model).items() if name in data.model}
        apply_look(simulation.model, look)
        simulation.mark_pristine()
        self._renderer = Renderer(simulation.model, simulation.data, size, camera, quality)
        self._episode = -1

    def frame(self, row: int) -> NDArray[np.uint8]:
        """uint8 [size, size, 3] of one row."""
        episode = int(np.searchsorted(self._data.episode_ends, row, side="right"))
        if episode != self._episode:
            changes = {name: values[episode] for name, values in self._data.model.items()}
            self._simulation.restore_model(changes, self._original)
            if "hfield_data" in changes:
                self._renderer.upload_terrain()
            self._episode = episode
        self._simulation.restore_state(self._data.physics[row])
        return self._renderer.render()

    def frames(self, episodes: tuple[int, ...]) -> Iterator[tuple[int, int, NDArray[np.uint8]]]:
        """(episode, t within it, frame) of every row of `episodes`, in order."""
        for episode in episodes:
            rows = self._data.rows_of(episode)
            for row in range(rows.start, rows.stop):
                yield episode, row - rows.start, self.frame(row)

    def close(self) -> None:
        """Free the renderer."""
        self._renderer.close()

    def __enter__(self) -> "Replayer":
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self.close()


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
    write_frame_shard(job.out, _replayer(job.trajectories, job.look, job.size, job.camera, job.quality).frames(job.episodes))


_loaded = lru_cache(maxsize=1)(load_trajectories)


@lru_cache(maxsize=1)
def _replayer(trajectories: Path, look: Look, size: int, camera: int, quality: Quality) -> Replayer:
    return Replayer(_loaded(trajectories), look, size, camera, quality)
