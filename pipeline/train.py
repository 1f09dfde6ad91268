"""Train a world model and its reward head offline, on one representation: one model per seed.

    python -m pipeline.train --encoder state --task cartpole_swingup --algorithm dreamerv3

Reads the training episodes under the default look and under `render.train_looks` (how often: `train.look_weights`); writes
`models/TASK/ENCODER/ALGORITHM/seed-S/{model.pt,learning.parquet}`. A killed run goes on from its last checkpoint. Tiny variant:
in a copy of params.yaml set `train.updates: 20` (`train.tdmpc2.updates`), then add `--params COPY`.
"""

from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from datasets.errors import UserError
from datasets.manifest import digest
from pipeline.log import log, track
from pipeline.params import Params, canonical, load_params
from pipeline.stage import run
from pipeline.work import code_digest, open_work

if TYPE_CHECKING:
    import numpy as np
    import polars as pl
    from numpy.typing import NDArray

    from datasets.episodes import Trajectories
    from pipeline.sections.learning import Train
    from trainers.feed import Feed
    from trainers.offline import Point

CODE = (
    "pipeline/train.py", *(f"trainers/{n}.py" for n in ("algorithms", "checkpoint", "data", "feed", "models", "offline")),
    "datasets/windows.py", "datasets/mapped.py",
)  # fmt: skip
_WORLDMODEL = ("config", "layers", "losses", "model", "observation", "products", "rssm", "scan", "stepnorm", "types", "vision")
OWN_CODE = {
    "dreamerv3": tuple(f"trainers/worldmodel/{n}.py" for n in ("alignment", *_WORLDMODEL)),
    "tdmpc2": (
        *(f"trainers/worldmodel/{n}.py" for n in ("losses", "observation", "types")),
        *(f"trainers/tdmpc2/{n}.py" for n in ("config", "encoder", "ensemble", "layers", "losses", "maths", "model", "policy")),
    ),
    "dinowm": (
        *(f"trainers/worldmodel/{n}.py" for n in ("layers", "losses", "observation", "types")),
        *(f"trainers/dinowm/{n}.py" for n in ("config", "model", "predictor")),
        "datasets/tokens.py",
    ),
}
Identity = dict[str, str | int]
MODEL, LEARNING = "model.pt", "learning.parquet"


@dataclass(frozen=True)
class Job:
    """One model to train, as a process is told."""

    params: Params
    encoder: str
    task: str
    algorithm: str
    seed: int
    checkpoint: Path
    out: Path
    beside: int = 1  # how many train at once, each with rows of its own


def main(encoder: str, task: str, algorithm: str, params: Path = Path("params.yaml")) -> None:
    p = load_params(params)
    own = p.train.of(algorithm)
    trajectories, embeddings = Path("data/trajectories") / task, Path("data/embeddings") / task / encoder
    key = {
        "encoder": canonical(encoder), "task": task, "algorithm": algorithm, "code": code_digest(*CODE, *OWN_CODE[algorithm]),
        "train": own.identity, "compute": p.compute.identity,
        "trajectories": digest(trajectories), "embeddings": digest(embeddings),
    }  # fmt: skip
    with open_work("train", Path("models") / task / encoder / algorithm, key) as work:
        if work is None:
            return
        names = {seed: f"seed-{seed}" for seed in p.train.seeds}
        jobs = [Job(p, encoder, task, algorithm, s, work.folder / f"{name}.pt", work.result / name) for s, name in names.items()]
        todo = [job for job in jobs if not (job.out / MODEL).exists()]
        todo = [replace(job, beside=len(todo) if p.compute.device == "cpu" else 1) for job in todo]
        if len(todo) <= 1 or p.compute.device != "cpu":
            for job in todo:
                train_seed(job)
        else:
            from pipeline.parallel import map_shards, process_pool

            with process_pool(p.compute.workers) as pool:
                for _ in map_shards(train_seed, todo, pool):
                    pass


def train_seed(job: Job) -> None:
    """Train one model; `model.pt` is written last, so that it marks a finished seed."""
    import torch

    from datasets.trajectories import load_trajectories
    from trainers.algorithms import algorithm
    from trainers.checkpoint import save_world_model
    from trainers.data import statistics_rows
    from trainers.offline import OfflineTrainer, Settings

    train, compute = job.params.train, job.params.compute
    loop, section, _ = train.of(job.algorithm)
    torch.set_num_threads(compute.threads)
    data = load_trajectories(Path("data/trajectories") / job.task)
    folder = Path("data/embeddings") / job.task / job.encoder
    feed, attributes = _open_feed(data, folder, job)
    kind = algorithm(job.algorithm)
    torch.manual_seed(job.seed)
    sample = feed.observations(statistics_rows(data))
    config = kind.configure(tuple(sample.shape[1:]), sample.dtype, data.action.shape[1], train.sizes)
    with torch.device(compute.device):
        model = kind.build(config)
    model.standardise(sample)
    settings = Settings(loop.updates, loop.learning_rate, loop.clip, train.checkpoint_every, section=section)
    trainer = OfflineTrainer(model, feed, settings, job.checkpoint)
    name = f"train {job.algorithm} {job.encoder} seed {job.seed}"
    trainer.run(lambda todo: track(todo, loop.updates, "update", name, initial=todo.start - 1))
    identity: Identity = {"encoder": canonical(job.encoder), "task": job.task, "algorithm": job.algorithm, "seed": job.seed}
    job.out.mkdir(parents=True, exist_ok=True)
    _learning_table(trainer.points, identity).write_parquet(job.out / LEARNING)
    save_world_model(job.out / MODEL, model, {**identity, "updates": loop.updates, "embedding": attributes})
    log(f"{name}: " + ", ".join(f"{p.metric} {p.value:.3g}" for p in trainer.points if p.update == trainer.points[-1].update))


def _open_feed(data: "Trajectories", folder: Path, job: Job) -> "tuple[Feed, dict[str, Any]]":
    """Windows of every look that is trained on, from wherever they fit; and the first look's attributes."""
    from datasets.embedding_shards import ARRAY, TOKENS
    from datasets.embeddings import load_embeddings, map_embeddings, stored_bytes, training_variants
    from datasets.tokens import load_tokens, map_tokens
    from datasets.windows import WindowSampler, window_starts
    from trainers.data import check_rows, firsts, join_rows, load_rows
    from trainers.feed import HeldFeed, MappedFeed, Part, place

    train, device = job.params.train, job.params.compute.device
    loop = train.of(job.algorithm).loop
    variants, episodes = training_variants(folder), data.episodes(validation=False)
    starts = [_starts(data, window_starts(data, loop.length), loop.stacked)] * len(variants)
    tokens = reads_tokens(folder, variants, loop.reads)
    sizes = [stored_bytes(folder, variant, TOKENS if tokens else ARRAY) for variant in variants]
    where, why = place(job.beside * sum(size for size, _ in sizes), all(mappable for _, mappable in sizes), device)
    log(f"windows of {folder}: {why}")
    if where == "map":
        mapped = [map_tokens(folder, variant) if tokens else map_embeddings(folder, variant) for variant in variants]
        for look in mapped:
            check_rows(data, look, episodes)
        groups = [own + first for own, first in zip(starts, firsts([len(data.reward)] * len(variants)), strict=True)]
        sampler = WindowSampler(groups, loop.batch, job.seed, _weights(train, [look.attributes for look in mapped]))
        parts = [Part(data, look.values) for look in mapped]
        return MappedFeed(parts, sampler, loop.batch, loop.length, device), mapped[0].attributes
    looks, attributes = [], []
    for variant in variants:
        embeddings = load_tokens(folder, variant) if tokens else load_embeddings(folder, variant)
        looks.append(load_rows(data, embeddings, episodes, device if where == "gpu" else "cpu"))
        attributes.append(embeddings.attributes)
    rows, groups = join_rows(looks, starts)
    sampler = WindowSampler(groups, loop.batch, job.seed, _weights(train, attributes))
    return HeldFeed(rows, sampler, loop.length, device), attributes[0]


def reads_tokens(folder: Path, variants: list[str], reads: str) -> bool:
    """Whether a model reads the spatial tokens of these looks: where it would (`reads` is "tokens") and they are stored."""
    from datasets.embedding_shards import TOKENS
    from datasets.embeddings import arrays_of

    if reads != TOKENS:
        return False
    stored = all(TOKENS in arrays_of(folder, variant) for variant in variants)
    if not stored:
        log(f"{folder} holds no tokens: its vectors are read as one token each (encode.tokens.spatial stores them)")
    return stored


def _starts(data: "Trajectories", starts: "NDArray[np.int64]", stacked: int) -> "NDArray[np.int64]":
    """The starts of windows, an episode's first row `stacked` times: as many rollouts begin there (tdmpc2/losses.py)."""
    import numpy as np

    return starts.repeat(np.where(data.is_first[starts], stacked, 1))


def _weights(train: "Train", looks: "list[dict[str, Any]]") -> list[float] | None:
    """How often a window is drawn under each look: an axis' weight is shared by its looks.

    Raises:
        UserError: `train.look_weights` lacks an axis that was rendered to train on.
    """
    if train.look_weights is None:
        return None
    axes = [look["axis"] for look in looks]
    if lacking := sorted(set(axes) - set(train.look_weights)):
        raise UserError(f"train.look_weights: no weight of {lacking[0]!r}, which render.train_looks has; add it")
    return [train.look_weights[axis] / axes.count(axis) for axis in axes]


def _learning_table(points: "list[Point]", identity: Identity) -> "pl.DataFrame":
    """One row per logged value: encoder, task, algorithm, seed, update, metric, value."""
    import polars as pl

    given = {name: pl.lit(value, pl.Int64 if isinstance(value, int) else pl.String) for name, value in identity.items()}
    rows = pl.DataFrame({name: [getattr(point, name) for point in points] for name in ("update", "metric", "value")})
    return rows.select(**given, update=pl.col("update").cast(pl.Int64), metric="metric", value="value")


if __name__ == "__main__":
    run(main)
