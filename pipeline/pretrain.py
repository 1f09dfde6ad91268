"""Make, or resolve, the weights of one representation.

    python -m pipeline.pretrain --encoder autoencoder --task cartpole_swingup

Representations made here are trained on the default look's training frames and written to `data/weights/TASK/ENCODER/weights.pt`.
Any other stage output is only `source.json` (where the weights are, and their sha256): licensed files never enter DVC's cache.
"""

from pathlib import Path
from typing import TYPE_CHECKING, Any

from datasets.errors import UserError
from datasets.manifest import digest, sha256_file, write_json
from pipeline.encoders.registry import entry_of
from pipeline.encoders.weights import find_weights, is_published
from pipeline.log import log, track
from pipeline.params import Params, canonical, load_params
from pipeline.stage import run
from pipeline.weights import SOURCE, WEIGHTS
from pipeline.work import Work, code_digest, open_work

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

CODE = tuple(f"pipeline/encoders/{name}.py" for name in ("autoencoder", "cnn", "base", "checkpoint"))


def main(encoder: str, task: str, params: Path = Path("params.yaml")) -> None:
    p = load_params(params)
    name = canonical(encoder)
    base = p.custom[encoder].base if encoder in p.custom else encoder
    given = p.weights.get(encoder) or p.weights.get(base)
    published = entry_of(base)
    frames = Path("data/frames") / task
    key: dict[str, Any] = {"encoder": name}
    trained = name == "autoencoder" and given is None
    if given is not None:
        if not Path(given).is_file():
            raise UserError(f"weights.{encoder}: {given} does not exist; give a checkpoint file, or null")
        key |= {"file": given, "sha256": sha256_file(Path(given))}
    elif published:
        found = find_weights(published, None)
        key |= {"file": str(found), "sha256": sha256_file(found)}
    elif name == "random_cnn":
        key |= {"seed": p.seed, "random": p.pretrain.random.model_dump(), "code": code_digest(*CODE)}
    elif trained:
        key |= {
            "seed": p.seed, "autoencoder": p.pretrain.autoencoder.model_dump(),
            "compute": p.compute.model_dump(exclude={"workers"}), "frames": digest(frames),
            "trajectories": digest(Path("data/trajectories") / task), "code": code_digest(*CODE),
        }  # fmt: skip
    with open_work("pretrain", Path("data/weights") / task / encoder, key) as work:
        if work is None:
            return
        source: dict[str, Any] = {"encoder": name, "origin": "none", "file": None, "sha256": None}
        if "file" in key:
            source |= {"origin": "local file" if given else "hub", "file": key["file"], "sha256": key["sha256"]}
            source["published"] = is_published(published, key["sha256"]) if published else None
        elif name == "random_cnn":
            _random(p, work)
        elif trained:
            _autoencoder(p, task, work)
        if (made := work.result / WEIGHTS).exists():
            source |= {"origin": "made here", "file": WEIGHTS, "sha256": sha256_file(made)}
        write_json(work.result / SOURCE, source)


def _random(p: Params, work: Work) -> None:
    from pipeline.encoders.checkpoint import save_weights
    from pipeline.encoders.cnn import random_network

    dim = p.pretrain.random.dim
    save_weights(work.result / WEIGHTS, "random_cnn", {"dim": dim}, random_network(dim, p.seed).state_dict())


def _autoencoder(p: Params, task: str, work: Work) -> None:
    import torch

    from pipeline.encoders.autoencoder import train_autoencoder
    from pipeline.encoders.checkpoint import save_weights

    torch.set_num_threads(p.compute.threads)
    settings = p.pretrain.autoencoder
    frames = training_frames(task, settings.frames)
    log(f"autoencoder: {settings.updates} updates on {len(frames)} frames of {task}")
    network, losses = train_autoencoder(
        frames, settings.dim, settings.updates, settings.batch, settings.learning_rate, p.seed, p.compute.device, work.folder,
        lambda todo: track(todo, settings.updates, "update", "autoencoder", initial=todo.start),
    )  # fmt: skip
    log(f"autoencoder: squared error a frame {losses[0]:.0f} -> {sum(losses[-50:]) / len(losses[-50:]):.1f}")
    save_weights(work.result / WEIGHTS, "autoencoder", {"dim": settings.dim}, network.cpu().state_dict())
    write_json(work.result / "losses.json", losses)


def training_frames(task: str, most: int) -> "NDArray[np.uint8]":
    """Up to `most` default-look frames, evenly spaced over the training episodes, resampled to the encoder's size."""
    import numpy as np

    from datasets.frames import DEFAULT, load_frames_index, read_frame_rows
    from datasets.manifest import verify
    from datasets.trajectories import load_trajectories
    from pipeline.encoders.base import resize
    from pipeline.encoders.cnn import SIZE

    folder = Path("data/frames") / task
    data = load_trajectories(Path("data/trajectories") / task)
    verify(folder, only=f"{DEFAULT}/")
    slices = [data.rows_of(episode) for episode in data.episodes(validation=False)]
    rows = np.sort(np.concatenate([np.arange(s.start, s.stop) for s in slices]))
    rows = rows[np.linspace(0, len(rows) - 1, min(most, len(rows))).astype(np.int64)]
    frames = read_frame_rows(folder, load_frames_index(folder).of(DEFAULT), data.episode_starts, rows)
    return np.concatenate([resize(frame[None], SIZE) for frame in frames])


if __name__ == "__main__":
    run(main)
