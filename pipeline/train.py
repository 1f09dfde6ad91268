"""Train a world model and its reward head offline, on one representation: one model per seed.

    python -m pipeline.train --encoder state --task cartpole_swingup --algorithm dreamerv3

Reads the training episodes under the default look and under `render.train_looks` (how often: `train.look_weights`); writes
`models/TASK/ENCODER/ALGORITHM/seed-S/{model.pt,learning.parquet}`; what it logs can be watched meanwhile (`track`). A killed run
goes on from its last checkpoint. Tiny variant: in a copy of params.yaml set `train.updates: 20` (`train.tdmpc2.updates`), then
add `--params COPY`.

Seeds train side by side in processes, or as one program (`train.together`). On several GPUs every batch is shared:

    torchrun --nproc-per-node 4 -m pipeline.train --encoder state --task cartpole_swingup --algorithm dreamerv3
"""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

from datasets.windows import launched
from pipeline.live import require
from pipeline.params import Params, load_params
from pipeline.stage import run
from pipeline.training import Job, finished, key_of, train_jobs
from pipeline.work import Work, open_work


def main(encoder: str, task: str, algorithm: str, params: Path = Path("params.yaml")) -> None:
    p = load_params(params)
    require(p.track)
    with _work(p, encoder, task, algorithm) as work:
        if work is None:
            return
        seeds = p.train.seeds
        jobs = [Job(p, encoder, task, algorithm, seed, work.result / f"seed-{seed}", work.key) for seed in seeds]
        checkpoint = work.folder / "checkpoint.pt"
        if len(jobs) > 1 and p.train.as_one(p.compute.device):
            if not all(map(finished, jobs)):
                train_jobs(jobs, checkpoint)
            return
        todo = [job for job in jobs if not finished(job)]
        if len(todo) <= 1 or p.compute.device != "cpu" or launched()[1] > 1:
            for job in todo:
                train_jobs([job], work.folder / f"seed-{job.seed}.pt")
            return
        from pipeline.parallel import map_shards, process_pool

        with process_pool(p.compute.workers) as pool:
            apart = [replace(job, beside=len(todo)) for job in todo]
            for _ in map_shards(_train_apart, [(job, work.folder / f"seed-{job.seed}.pt") for job in apart], pool):
                pass


def _train_apart(given: tuple[Job, Path]) -> None:
    job, checkpoint = given
    train_jobs([job], checkpoint)


@contextmanager
def _work(p: Params, encoder: str, task: str, algorithm: str) -> Iterator[Work | None]:
    """The stage's place to work in: under torchrun the first process holds it, and tells the others."""
    rank, world = launched()
    key = key_of(p, encoder, task, algorithm)
    out = Path("models") / task / encoder / algorithm
    if world == 1:
        with open_work("train", out, key) as work:
            yield work
        return
    from trainers.processes import joined, told

    with joined(p.compute.device):
        if rank:
            (place,) = told([None])
            yield place
            told([None])
            return
        with open_work("train", out, key | {"processes": world}) as work:
            told([work])
            yield work
            told([None])  # the others are done


if __name__ == "__main__":
    run(main)
