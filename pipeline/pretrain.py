"""Make, or resolve, the weights of one representation.

    python -m pipeline.pretrain --encoder autoencoder --task cartpole_swingup

Representations made here are trained on the default look's training frames and written to `data/weights/TASK/ENCODER/weights.pt`;
`pretrain.NAME.tasks` in params.yaml lets some of them learn from other tasks' frames instead. Any other output is only
`source.json` (where the weights are, and their sha256): licensed files never enter DVC's cache.
"""

from pathlib import Path
from typing import TYPE_CHECKING, Any

from datasets.errors import UserError
from datasets.manifest import digest, sha256_file, write_json
from pipeline.encoders.registry import code_of, entry_of
from pipeline.encoders.weights import find_weights, is_published
from pipeline.log import log, track
from pipeline.params import Params, canonical, load_params
from pipeline.stage import run
from pipeline.weights import SOURCE, WEIGHTS
from pipeline.work import Work, code_digest, open_work

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from pipeline.encoders.learning import Objective

MADE = ("random_cnn", "random_vit")  # without frames
LEARNED = {"autoencoder": "autoencoder", "mae_indomain": "masked_autoencoder", "dino_indomain": "self_distillation"}
KINDS = ("trajectories", "frames")


def main(encoder: str, task: str, params: Path = Path("params.yaml")) -> None:
    p = load_params(params)
    name = canonical(encoder)
    base = p.custom[encoder].base if encoder in p.custom else encoder
    given = p.weights.get(encoder) or p.weights.get(base)
    published = entry_of(base)
    sources = p.pretrain.vits[name].sources(task) if name in p.pretrain.vits else [task]
    key: dict[str, Any] = {"encoder": name}
    if given is not None:
        if not Path(given).is_file():
            raise UserError(f"weights.{encoder}: {given} does not exist; give a checkpoint file, or null")
        key |= {"file": given, "sha256": sha256_file(Path(given))}
    elif published:
        found = find_weights(published, None)
        key |= {"file": str(found), "sha256": sha256_file(found)}
    if encoder in p.custom and not published:
        key |= _custom(encoder, base, given)
    elif name in (*MADE, *LEARNED):
        key |= _key(p, name, sources)
    with open_work("pretrain", Path("data/weights") / task / encoder, key) as work:
        if work is None:
            return
        source: dict[str, Any] = {"encoder": name, "origin": "none", "file": None, "sha256": None}
        if "file" in key:
            source |= {"origin": "local file" if given else "hub", "file": key["file"], "sha256": key["sha256"]}
            source |= {"configuration": key["configuration"]} if "configuration" in key else {}
            source["published"] = is_published(published, key["sha256"]) if published else None
        elif name in MADE:
            _random(p, name, work)
        elif name in LEARNED:
            _learned(p, name, sources, work)
        if (made := work.result / WEIGHTS).exists():
            source |= {"origin": "made here", "file": WEIGHTS, "sha256": sha256_file(made)}
            if name in p.pretrain.vits:
                label = "in_domain" if sources == [task] else "other_tasks"
                source |= {"pretrained_on": label, "pretrained_tasks": sources}
        write_json(work.result / SOURCE, source)


def _custom(encoder: str, base: str, given: str | None) -> dict[str, Any]:
    """What decides the embeddings of a `custom:` entry whose base is not registered: its weights, and files beside them."""
    from pipeline.encoders.custom import custom_files

    files = custom_files(encoder, base, Path(given) if given else None)
    if not files:
        return {}
    key: dict[str, Any] = {"file": str(files[0]), "sha256": sha256_file(files[0])}
    return key | ({"configuration": {file.name: sha256_file(file) for file in files[1:]}} if files[1:] else {})


def _key(p: Params, name: str, sources: list[str]) -> dict[str, Any]:
    """What the weights of an encoder made here depend on."""
    modules = ("learning", LEARNED[name]) if name in LEARNED else ()
    code = code_digest(*code_of(name), *(f"pipeline/encoders/{module}.py" for module in modules))
    key: dict[str, Any] = {"seed": p.seed, "settings": p.pretrain.of(name).model_dump(), "code": code}
    if name in LEARNED:
        key["compute"] = p.compute.identity
        key["sources"] = {task: {kind: digest(Path("data") / kind / task) for kind in KINDS} for task in sources}
    return key


def _random(p: Params, name: str, work: Work) -> None:
    from pipeline.encoders.checkpoint import save_weights

    if name == "random_cnn":
        from pipeline.encoders.cnn import random_network

        dim = p.pretrain.random.dim
        save_weights(work.result / WEIGHTS, name, {"dim": dim}, random_network(dim, p.seed).state_dict())
    else:
        from pipeline.encoders.networks.small_vit import SmallVit

        size = p.pretrain.random_vit.size
        save_weights(work.result / WEIGHTS, name, size, SmallVit(**size, seed=p.seed).state_dict())


def _learned(p: Params, name: str, sources: list[str], work: Work) -> None:
    from pipeline.encoders.checkpoint import save_weights
    from pipeline.encoders.learning import Schedule, learn
    from trainers.arithmetic import set_arithmetic

    set_arithmetic(p.compute.threads, "fp32")
    settings = p.pretrain.autoencoder if name == "autoencoder" else p.pretrain.vits[name]
    frames = training_frames(sources, settings.frames)
    log(f"{name}: {settings.updates} updates on {len(frames)} frames of {', '.join(sources)}")
    objective, config = _objective(p, name, frames)
    how = Schedule(settings.updates, settings.batch, settings.learning_rate, p.seed, p.compute.device)
    losses = learn(
        objective, frames, how, work.folder,
        lambda todo: track(todo, settings.updates, "update", name, initial=todo.start),
    )  # fmt: skip
    if losses:
        log(f"{name}: loss {losses[0]:.4g} -> {sum(losses[-50:]) / len(losses[-50:]):.4g}")
    save_weights(work.result / WEIGHTS, name, config, objective.encoder.cpu().state_dict())
    write_json(work.result / "losses.json", losses)


def _objective(p: Params, name: str, frames: "NDArray[np.uint8]") -> "tuple[Objective, dict[str, int]]":
    """What `name` learns by, not yet begun, and the size of its network."""
    if name == "autoencoder":
        from pipeline.encoders.autoencoder import Autoencoder

        dim = p.pretrain.autoencoder.dim
        return Autoencoder(frames, dim, p.seed), {"dim": dim}
    from pipeline.encoders.masked_autoencoder import MaskedAutoencoder
    from pipeline.encoders.networks.small_vit import SmallVit
    from pipeline.encoders.self_distillation import SelfDistillation

    size = p.pretrain.vits[name].size
    encoder = SmallVit(**size, seed=p.seed)
    encoder.centre(frames)
    kind = MaskedAutoencoder if name == "mae_indomain" else SelfDistillation
    return kind(encoder, p.seed), size


def training_frames(tasks: list[str], most: int) -> "NDArray[np.uint8]":
    """Up to `most` default-look frames, evenly spaced over the tasks' training episodes, resampled to the encoder's size."""
    import numpy as np

    from datasets.frames import DEFAULT, load_frames_index, read_frame_rows
    from datasets.manifest import verify
    from datasets.trajectories import load_trajectories
    from pipeline.encoders.cnn import RESAMPLE
    from pipeline.encoders.preprocess import by_pillow

    taken = []
    for number, task in enumerate(tasks):
        folder = Path("data/frames") / task
        data = load_trajectories(Path("data/trajectories") / task)
        verify(folder, only=f"{DEFAULT}/")
        slices = [data.rows_of(episode) for episode in data.episodes(validation=False)]
        rows = np.sort(np.concatenate([np.arange(s.start, s.stop) for s in slices]))
        share = most * (number + 1) // len(tasks) - most * number // len(tasks)
        rows = rows[np.linspace(0, len(rows) - 1, min(share, len(rows))).astype(np.int64)]
        frames = read_frame_rows(folder, load_frames_index(folder).of(DEFAULT), data.episode_starts, rows)
        taken += [by_pillow(frame[None], RESAMPLE) for frame in frames]
    return np.concatenate(taken)


if __name__ == "__main__":
    run(main)
