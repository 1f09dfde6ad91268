"""Train models of several representations of a task as one batched program, so that one GPU does a study's worth at once.

    python -m pipeline.together --encoders clip,vc1,random --task cartpole_swingup --algorithm dreamerv3
    dvc repro

Every seed of every representation becomes part of one program (those that read frames are one of their own; vectors of fewer
dimensions are padded). What is learned waits in the store, where each representation's `train` stage finds it: `dvc repro` then
only moves it into place. A killed run goes on from its last checkpoint. Models equal those of `train` up to the order in which
sums are taken.
"""

import shutil
from contextlib import ExitStack
from pathlib import Path

from datasets.errors import UserError
from datasets.manifest import digest_of
from pipeline.live import require
from pipeline.log import log
from pipeline.params import load_params
from pipeline.stage import run
from pipeline.training import Job, finished, key_of, reads_frames, train_jobs
from pipeline.work import hold, hold_work, store


def main(encoders: str, task: str, algorithm: str, params: Path = Path("params.yaml")) -> None:
    p = load_params(params)
    require(p.track)
    names = list(dict.fromkeys(name.strip() for name in encoders.split(",") if name.strip()))
    if not names:
        raise UserError("--encoders: name some, separated by commas")
    with ExitStack() as stack:
        keys, jobs = [], []
        for name in sorted(names):  # locks are always taken in the same order
            key = key_of(p, name, task, algorithm)
            work = stack.enter_context(hold_work("train", Path("models") / task / name / algorithm, key))
            if work is None:
                continue
            keys.append(key)
            jobs += [Job(p, name, task, algorithm, seed, work.result / f"seed-{seed}", work.key) for seed in p.train.seeds]
        folder = store() / "work" / "together" / digest_of({"keys": keys})[:24]
        stack.enter_context(hold(folder.with_name(folder.name + ".lock"), str(folder)))
        folder.mkdir(parents=True, exist_ok=True)
        for frames in (False, True):
            group = [job for job in jobs if reads_frames(job.folder) == frames]
            if group and not all(map(finished, group)):
                train_jobs(group, folder / ("frames.pt" if frames else "vectors.pt"))
        shutil.rmtree(folder)
    log(f"{len(jobs)} models are trained; `dvc repro` moves them into place")


if __name__ == "__main__":
    run(main)
