"""What `train` does with one model or several: set them up from params.yaml and the data, run the loop, write the results."""

from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from datasets.errors import UserError
from datasets.manifest import digest
from datasets.windows import launched
from pipeline.encoders.registry import info_of
from pipeline.live import open_live
from pipeline.log import log, track
from pipeline.params import Params, canonical
from pipeline.work import code_digest

if TYPE_CHECKING:
    import numpy as np
    import polars as pl
    import torch
    from numpy.typing import NDArray

    from datasets.episodes import Trajectories
    from pipeline.sections.learning import Loop, Train
    from trainers.feed import Feed
    from trainers.offline import Member, Point

_TRAINERS = (
    "algorithms", "arithmetic", "checkpoint", "data", "feed", "graph", "models", "offline", "processes", "together", "update",
)  # fmt: skip
CODE = (
    "pipeline/train.py", "pipeline/training.py", *(f"trainers/{n}.py" for n in _TRAINERS), "datasets/windows.py",
    "datasets/mapped.py",
)  # fmt: skip
_WORLDMODEL = (
    "config", "layers", "losses", "model", "norm_fused", "observation", "products", "rssm", "scan", "scan_fused", "scan_plain",
    "scan_types", "stepnorm", "types", "vision", "vmapped",
)  # fmt: skip
_KERNELS = tuple(f"trainers/kernels/{n}.py" for n in ("__init__", "norm", "scan_backward", "scan_forward", "tiles"))
_TDMPC2 = ("config", "encoder", "ensemble", "layers", "losses", "maths", "model", "noise", "policy")
OWN_CODE = {
    "dreamerv3": (*(f"trainers/worldmodel/{n}.py" for n in ("alignment", *_WORLDMODEL)), *_KERNELS),
    "tdmpc2": (
        *(f"trainers/worldmodel/{n}.py" for n in ("losses", "observation", "types")),
        *(f"trainers/tdmpc2/{n}.py" for n in _TDMPC2),
    ),
    "dinowm": (
        *(f"trainers/worldmodel/{n}.py" for n in ("layers", "losses", "norm_fused", "observation", "types", "vmapped")),
        "trainers/kernels/__init__.py",
        "trainers/kernels/norm.py",
        *(f"trainers/dinowm/{n}.py" for n in ("config", "model", "predictor")),
        "datasets/tokens.py",
    ),
}
Identity = dict[str, str | int]
MODEL, LEARNING = "model.pt", "learning.parquet"
FRAMES = "scratch"  # the reference whose rows are the frames


@dataclass(frozen=True)
class Job:
    """One model to train, as a process is told.

    Attributes:
        out: folder of what is written.
        key: digest of all that the model depends on but its seed.
        beside: how many train at once in processes of their own, each with rows of its own.
    """

    params: Params
    encoder: str
    task: str
    algorithm: str
    seed: int
    out: Path
    key: str
    beside: int = 1

    @property
    def identity(self) -> Identity:
        """What tables and checkpoints say of it."""
        return {"encoder": canonical(self.encoder), "task": self.task, "algorithm": self.algorithm, "seed": self.seed}

    @property
    def folder(self) -> Path:
        """Of its embeddings."""
        return Path("data/embeddings") / self.task / self.encoder


class Candidate(NamedTuple):
    """A job, its untrained model and windows, and the attributes of the embeddings that it reads."""

    job: Job
    member: "Member"
    attributes: dict[str, Any]


def key_of(p: Params, encoder: str, task: str, algorithm: str) -> dict[str, Any]:
    """JSON-able: all that the models of one stage depend on."""
    own = p.train.of(algorithm)  # refuses an unknown one
    frames = frames_of(encoder, task, own.loop)
    beside = {} if frames is None else {"frames": digest(frames)}
    return beside | {
        "encoder": canonical(encoder), "task": task, "algorithm": algorithm, "code": code_digest(*CODE, *OWN_CODE[algorithm]),
        "train": own.identity, "compute": p.compute.identity,
        "trajectories": digest(Path("data/trajectories") / task), "embeddings": digest(Path("data/embeddings") / task / encoder),
    }  # fmt: skip


def finished(job: Job) -> bool:
    """Whether its model is written: that is done last."""
    return (job.out / MODEL).exists()


def train_jobs(jobs: list[Job], checkpoint: Path) -> None:
    """Train models, as one program if there are several, and write each into its folder.

    Args:
        jobs: of one task and algorithm, under one params.yaml.
        checkpoint: that a killed run goes on from.
    """
    from trainers.arithmetic import set_arithmetic
    from trainers.offline import OfflineTrainer, Settings
    from trainers.processes import device_of

    first, (rank, world) = jobs[0], launched()
    train, compute = first.params.train, first.params.compute
    loop, section, _ = train.of(first.algorithm)
    set_arithmetic(compute.threads, train.precision)
    device = device_of(compute.device)
    by_folder: dict[Path, list[Job]] = {}
    for job in jobs:
        by_folder.setdefault(job.folder, []).append(job)
    candidates = [candidate for own in by_folder.values() for candidate in _candidates(own, device)]
    settings = Settings(
        loop.updates, loop.learning_rate, loop.clip, train.checkpoint_every, precision=train.precision, section=section
    )
    name = f"train {candidates[0].member.name}" + (f" and {len(jobs) - 1} more" if len(jobs) > 1 else "")
    with ExitStack() as stack:
        members = [_watched(candidate, stack) if rank == 0 else candidate.member for candidate in candidates]
        trainer = OfflineTrainer(members, settings, checkpoint, rank, world)
        trainer.run(lambda todo: track(todo, loop.updates, "update", name, todo.start - 1, lambda: f"({trainer.split})"))
    if rank == 0:
        for candidate, points in zip(candidates, trainer.points, strict=True):
            _write(candidate, points, loop.updates)


def _watched(candidate: Candidate, stack: ExitStack) -> "Member":
    """The member, its metrics told to whatever `track` asks for."""
    job = candidate.job
    live = open_live(job.params.track, job.task, job.encoder, job.algorithm, job.seed, job.key)
    return candidate.member._replace(on_points=stack.enter_context(live))


def _write(candidate: Candidate, points: "list[Point]", updates: int) -> None:
    from trainers.checkpoint import save_world_model

    job = candidate.job
    job.out.mkdir(parents=True, exist_ok=True)
    _learning_table(points, job.identity).write_parquet(job.out / LEARNING)
    meta = {**job.identity, "updates": updates, "embedding": candidate.attributes}
    save_world_model(job.out / MODEL, candidate.member.model, meta)
    last = ", ".join(f"{p.metric} {p.value:.3g}" for p in points if p.update == points[-1].update)
    log(f"train {candidate.member.name}: {last}")


def _candidates(jobs: list[Job], device: "torch.device") -> list[Candidate]:
    """Models of one representation, their windows drawn from the same rows."""
    import torch

    from datasets.trajectories import load_trajectories
    from trainers.algorithms import algorithm
    from trainers.data import statistics_rows
    from trainers.offline import Member

    first = jobs[0]
    data = load_trajectories(Path("data/trajectories") / first.task)
    feeds, attributes = _open_feeds(data, first, [job.seed for job in jobs], device)
    kind = algorithm(first.algorithm)
    rows = statistics_rows(data)
    sample, frames = feeds[0].observations(rows), feeds[0].frames(rows)
    config = kind.configure(tuple(sample.shape[1:]), sample.dtype, data.action.shape[1], first.params.train.sizes)
    made = []
    for job, feed in zip(jobs, feeds, strict=True):
        torch.manual_seed(job.seed)
        with device:
            model = kind.build(config)
        model.standardise(sample, frames)
        member = Member(model, feed, job.seed, f"{job.algorithm} {job.encoder} seed {job.seed}")
        made.append(Candidate(job, member, attributes))
    return made


def _open_feeds(
    data: "Trajectories", job: Job, seeds: list[int], device: "torch.device"
) -> "tuple[list[Feed], dict[str, Any]]":  # fmt: skip
    """Windows of every look that is trained on, from wherever they fit, for each seed; and the first look's attributes."""
    from datasets.embedding_shards import ARRAY, TOKENS
    from datasets.embeddings import load_embeddings, map_embeddings, stored_bytes, training_variants
    from datasets.tokens import load_tokens, map_tokens
    from datasets.windows import WindowSampler, window_starts
    from trainers.data import check_frames, check_rows, firsts, join_rows, load_rows
    from trainers.feed import HeldFeed, MappedFeed, Part, place

    train, folder, (rank, world) = job.params.train, job.folder, launched()
    loop = train.of(job.algorithm).loop
    if loop.batch % world:
        raise UserError(f"{world} processes cannot share a batch of {loop.batch} windows equally; start another number of them")
    variants, episodes = training_variants(folder), data.episodes(validation=False)
    starts = [_starts(data, window_starts(data, loop.length), loop.stacked)] * len(variants)
    tokens = reads_tokens(folder, variants, loop.reads)
    sizes = [stored_bytes(folder, variant, TOKENS if tokens else ARRAY) for variant in variants]
    frames = frames_of(job.encoder, job.task, loop)
    sizes += [] if frames is None else [stored_bytes(frames, variant) for variant in variants]
    processes = job.beside if device.type == "cpu" else 1
    where, why = place(processes * sum(size for size, _ in sizes), all(mappable for _, mappable in sizes), str(device))
    log(f"windows of {folder}: {why}")
    if where == "map":
        mapped = [map_tokens(folder, variant) if tokens else map_embeddings(folder, variant) for variant in variants]
        shown = [None if frames is None else map_embeddings(frames, variant) for variant in variants]
        for look, seen in zip(mapped, shown, strict=True):
            check_rows(data, look, episodes)
            if seen is not None:
                check_frames(data, look, seen, episodes)
        groups = [own + first for own, first in zip(starts, firsts([len(data.reward)] * len(variants)), strict=True)]
        weights = _weights(train, [look.attributes for look in mapped])
        pairs = [(look.values, None if seen is None else seen.values) for look, seen in zip(mapped, shown, strict=True)]
        parts = [Part(data, *pair) for pair in pairs]
        samplers = [WindowSampler(groups, loop.batch, seed, weights, rank, world) for seed in seeds]
        batch = loop.batch // world
        return [MappedFeed(parts, sampler, batch, loop.length, str(device)) for sampler in samplers], mapped[0].attributes
    looks, attributes = [], []
    for variant in variants:
        embeddings = load_tokens(folder, variant) if tokens else load_embeddings(folder, variant)
        beside = None if frames is None else load_embeddings(frames, variant)
        looks.append(load_rows(data, embeddings, episodes, str(device) if where == "gpu" else "cpu", beside))
        attributes.append(embeddings.attributes)
    rows, groups = join_rows(looks, starts)
    samplers = [WindowSampler(groups, loop.batch, seed, _weights(train, attributes), rank, world) for seed in seeds]
    return [HeldFeed(rows, sampler, loop.length, str(device)) for sampler in samplers], attributes[0]


def frames_of(encoder: str, task: str, loop: "Loop") -> Path | None:
    """The stored frames that latents must reconstruct beside what is read; None without such a decoder, or where frames are read.

    Raises:
        UserError: they are not there.
    """
    info = info_of(encoder)
    if not loop.reconstructs_frames or (info is not None and info.stores == "frame"):
        return None
    folder = Path("data/embeddings") / task / FRAMES
    if not folder.is_dir():
        raise UserError(
            f"train.decoder: pixels needs the frames in {folder}, which is missing; run `dvc repro`, or "
            f"`python -m pipeline.encode --encoder {FRAMES} --task {task}`"
        )
    return folder


def reads_frames(folder: Path) -> bool:
    """Whether what is stored there are frames, not vectors."""
    import numpy as np

    from datasets.embedding_shards import ARRAY
    from datasets.embeddings import attributes_of
    from datasets.frames import DEFAULT

    return np.dtype(attributes_of(folder / f"{DEFAULT}.zarr", ARRAY)["dtype"]) == np.uint8


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
