"""Run the study of params.yaml: one DVC experiment for every encoder, then the comparison of all.

    make study
    python -m pipeline.study --out comparison

`study.encoders` are the encoders, `study.jobs` how many run at a time; tasks, algorithms and seeds are those of params.yaml,
inside each experiment. DVC does the work, in copies of the project, and keeps what is finished: the same command goes on after a
kill, and skips encoders that have an experiment of the same parameters and code at this commit. One that fails is named at the
end, and the others go on. Tiny variant: `study.encoders: [random]` on settings of a tiny run.
"""

import os
import subprocess
import sys
import time
from collections.abc import Iterable, Mapping
from pathlib import Path

from datasets.errors import UserError
from datasets.manifest import digest_of
from pipeline.compare import compare
from pipeline.log import log
from pipeline.params import Params, canonical, load_params
from pipeline.stage import run

MADE_HERE = ("state", "random_vit", "mae_indomain", "dino_indomain")  # besides the references, which every experiment has
_POLL_S = 2.0


def main(out: Path = Path("comparison"), params: Path = Path("params.yaml")) -> None:
    p = load_params(params)
    names = {encoder: name_of(encoder, p) for encoder in encoders(p)}
    done = finished()
    left = {encoder: name for encoder, name in names.items() if name not in done}
    log(f"study: {len(names)} encoders, {len(names) - len(left)} of them finished before")
    if p.study.jobs == 1:
        for number, (encoder, name) in enumerate(left.items(), start=1):
            log(f"study: {encoder} ({number} of {len(left)}) as {name}")
            _dvc("exp", "run", "--temp", "-n", name, *changes(encoder, p))
    elif left:
        _queue(left, p)
    done = finished()
    failed = [encoder for encoder, name in names.items() if name not in done]
    if len(failed) == len(names):
        raise UserError(f"no encoder finished: {', '.join(failed)}; see above what each stumbled over, or `dvc queue logs NAME`")
    compare([name for name in names.values() if name in done], out, p)
    if failed:
        raise UserError(
            f"{len(failed)} of {len(names)} encoders failed: {', '.join(failed)}; the comparison has the others. "
            "The same command tries these again"
        )


def encoders(p: Params) -> list[str]:
    """What is swept: `study.encoders`, or the selected one, those with a weights file, those made here; no two names for one.

    Names stay as they are given: stages are called by them, and what `random` has in cache `random_cnn` has not.
    """
    chosen = p.study.encoders or [p.encoder, *(name for name, path in p.weights.items() if path), *MADE_HERE]
    return list({canonical(name): name for name in reversed(chosen)}.values())[::-1]


def name_of(encoder: str, p: Params) -> str:
    """The experiment's name: the encoder, and a digest of all other parameters and of the code, committed or not."""
    values = p.model_dump(mode="json", by_alias=True, exclude={"encoder", "study", "track"})
    code = [_git("rev-parse", "HEAD"), _git("diff", "HEAD", "--", ".", ":!params.yaml", ":!dvc.lock")]
    return f"study-{encoder}-{digest_of([values, code])[:8]}"


def changes(encoder: str, p: Params) -> list[str]:
    """The parameters that this experiment changes. Paths of weights must hold in a copy of the project, too."""
    path = p.weights.get(encoder)
    file = [f"weights.{encoder}={Path(path).resolve()}"] if path and not Path(path).is_absolute() else []
    return [word for change in (f"encoder={encoder}", *file) for word in ("-S", change)]


def finished() -> set[str]:
    """Names of this commit's experiments."""
    listed = _dvc("exp", "list", "--name-only", capture=True)
    return set(listed.split())


def _queue(left: Mapping[str, str], p: Params) -> None:
    """Queue what is not queued yet, and wait until DVC's workers have been through it."""
    for task in left.values():
        if _states([task]).get(task) == "Failed":
            _dvc("queue", "remove", task, capture=True)
    waiting = _states(left.values())
    for encoder, name in left.items():
        if name not in waiting:
            _dvc("exp", "run", "--queue", "-n", name, *changes(encoder, p))
    _dvc("queue", "start", "-j", str(p.study.jobs))
    while any(state in ("Queued", "Running") for state in _states(left.values()).values()):
        time.sleep(_POLL_S)


def _states(names: Iterable[str]) -> dict[str, str]:
    """Name -> Queued, Running, Success or Failed, of those in DVC's queue."""
    rows = [line.split() for line in _dvc("queue", "status", capture=True).splitlines()]
    return {word: row[-1] for row in rows for word in row[1:2] if word in set(names)}


def _dvc(*arguments: str, capture: bool = False) -> str:
    """Run DVC; what it prints, where that is asked for. A failure that is not captured has been told by DVC itself."""
    done = subprocess.run([sys.executable, "-m", "dvc", *arguments], stdout=subprocess.PIPE if capture else sys.stderr, text=True)
    if capture and done.returncode:
        raise UserError(f"`dvc {' '.join(arguments)}` failed; is this the root of a project under Git and DVC?")
    return done.stdout or ""


def _git(*arguments: str) -> str:
    done = subprocess.run(["git", *arguments], capture_output=True, text=True, env=os.environ | {"GIT_PAGER": ""})
    if done.returncode:
        raise UserError(f"`git {' '.join(arguments[:2])}` failed: {(done.stderr.splitlines() or [''])[0]}")
    return done.stdout


if __name__ == "__main__":
    run(main)
