"""Live metrics while models train: DVCLive's files, TensorBoard's events, a Weights & Biases run, as `track` in params.yaml says.

They are for the eye alone: no result depends on them, and `track` is part of no stage and of no key.
"""

import os
import shutil
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from importlib.util import find_spec
from itertools import groupby
from pathlib import Path
from typing import TYPE_CHECKING

from datasets.errors import UserError
from pipeline.sections.track import Track

if TYPE_CHECKING:
    from collections.abc import Sequence

    from trainers.offline import OnPoints, Point

ROOT = Path("dvclive")
_Log = Callable[[int, Mapping[str, float]], None]  # of one update: its number, values by metric


def require(track: Track) -> None:
    """That what `track` asks for is installed.

    Raises:
        UserError: it is not.
    """
    for package, off in (("dvclive", "false"), ("tensorboard", "false"), ("wandb", "null")):
        spec = find_spec(package) if getattr(track, package) else None
        if getattr(track, package) and (spec is None or spec.origin is None):  # a folder of that name has no origin
            raise UserError(
                f"track.{package}: {package} is not installed: pip install -c constraints.txt '.[track]', or set it to {off}"
            )


@contextmanager
def open_live(track: Track, task: str, encoder: str, algorithm: str, seed: int, key: str) -> "Iterator[OnPoints]":
    """A place for the points of one model's training.

    What is yielded wants all points so far, then each time the new ones. Files are begun anew, so that a resumed series neither
    lacks nor repeats an update; a W&B run, which cannot be, is only told what comes after its last step.

    Args:
        track: where to.
        task, encoder, algorithm, seed: name the series.
        key: digest of all that the points depend on; a W&B run with the same goes on.

    Raises:
        UserError: W&B refuses.
    """
    names: dict[str, str | int] = {"task": task, "encoder": encoder, "algorithm": algorithm, "seed": seed}
    folder = ROOT / task / encoder / algorithm / f"seed-{seed}"
    with ExitStack() as stack:
        logs: list[_Log] = []
        if track.dvclive:
            logs.append(_dvclive(folder))
        if track.tensorboard:
            logs.append(_tensorboard(folder / "tensorboard", stack))
        if track.wandb is not None:
            logs.append(_wandb(track.wandb, folder, names, f"{key}-{seed}", stack))

        def on_points(points: "Sequence[Point]") -> None:
            for update, group in groupby(points, lambda point: point.update):
                values = {point.metric: point.value for point in group}
                for log in logs:
                    log(update, values)

        yield on_points


def _dvclive(folder: Path) -> _Log:
    os.environ["DVC_STUDIO_OFFLINE"] = "true"
    from dvclive import Live

    class Files(Live):
        """DVCLive's files alone: it would make a DVC repository where there is none, and fail where nothing was committed yet."""

        def _init_dvc(self) -> None:
            pass

    live = Files(str(folder), save_dvc_exp=False, dvcyaml=None)

    def log(update: int, values: Mapping[str, float]) -> None:
        live.step = update
        for name, value in values.items():
            live.log_metric(name, value)
        live.make_summary()  # `next_step` would read every series again, each time

    return log


def _tensorboard(folder: Path, stack: ExitStack) -> _Log:
    from torch.utils.tensorboard import SummaryWriter

    shutil.rmtree(folder, ignore_errors=True)
    writer = stack.enter_context(SummaryWriter(str(folder), flush_secs=10))

    def log(update: int, values: Mapping[str, float]) -> None:
        for name, value in values.items():
            writer.add_scalar(name, value, update)

    return log


def _wandb(project: str, folder: Path, names: dict[str, str | int], run_id: str, stack: ExitStack) -> _Log:
    import wandb

    folder.mkdir(parents=True, exist_ok=True)
    title = "/".join(str(name) for name in names.values())
    quiet = wandb.Settings(silent=True, console="off", disable_git=True)
    try:
        run = wandb.init(project=project, name=title, id=run_id, resume="allow", config=names, dir=str(folder), settings=quiet)
    except wandb.Error as error:
        raise UserError(f"track.wandb: {str(error).splitlines()[0]} (WANDB_MODE=offline keeps it on this machine)") from None
    stack.enter_context(run)

    def log(update: int, values: Mapping[str, float]) -> None:
        if update >= run.step:
            run.log(dict(values), step=update)

    return log
