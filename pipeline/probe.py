"""Measure a representation as it is, without a world model: what can be read out of it, and what it looks like.

    python -m pipeline.probe --encoder autoencoder --task cartpole_swingup

Writes `results/probes/ENCODER/TASK/` (docs/tables.md): `probes.parquet`, the error with which reward and state are read from
one row, per held-out episode under every look; `properties.parquet`, its dimension and how far looks move it; `sample.parquet`,
rows to draw; `encoder.parquet`, what is known of the encoder. Needs `python -m pipeline.encode`. A tiny variant is that of the
stages before.
"""

from pathlib import Path
from typing import TYPE_CHECKING, Any

from datasets.manifest import digest
from pipeline.columns import literals, look_columns
from pipeline.encoders.registry import info_of
from pipeline.log import log, track
from pipeline.params import Params, canonical, load_params
from pipeline.stage import run
from pipeline.work import code_digest, open_work

if TYPE_CHECKING:
    import numpy as np
    import polars as pl
    from numpy.typing import NDArray

    from datasets.episodes import Trajectories
    from datasets.frames import Look
    from trainers.probes.representation import Readers, Shown

CODE = (
    "pipeline/probe.py", "pipeline/columns.py", "trainers/data.py", "trainers/worldmodel/observation.py",
    *(f"trainers/probes/{n}.py" for n in ("geometry", "knn", "probe", "representation", "ridge", "targets")),
)  # fmt: skip
SAMPLE, COMPONENTS = 2000, 50  # rows to draw at most, and their principal components
APART = 20  # rows of an episode, about, that the dimension is estimated from: nearer ones lie on a line


def main(encoder: str, task: str, params: Path = Path("params.yaml")) -> None:
    p = load_params(params)
    embeddings = Path("data/embeddings") / task / encoder
    key = {
        "encoder": _known(p, encoder), "preset": p.preset, "compute": p.compute.identity,
        "frames": digest(Path("data/frames") / task),
        "trajectories": digest(Path("data/trajectories") / task), "embeddings": digest(embeddings),
        "code": code_digest(*CODE),
    }  # fmt: skip
    with open_work("probe", Path("results/probes") / encoder / task, key) as work:
        if work is not None:
            _probe(p, encoder, task, embeddings, work.result)


def _probe(p: Params, encoder: str, task: str, embeddings: Path, result: Path) -> None:
    import polars as pl
    import torch

    from datasets.embeddings import load_embeddings
    from datasets.frames import DEFAULT, load_frames_index
    from datasets.trajectories import load_trajectories
    from trainers.data import load_rows
    from trainers.probes import representation
    from trainers.probes.geometry import principal, signal_to_nuisance, two_nn
    from trainers.probes.targets import evenly

    torch.set_num_threads(p.compute.threads)
    data = load_trajectories(Path("data/trajectories") / task)
    looks = [frames.look for frames in load_frames_index(Path("data/frames") / task).sets]
    (first,), shifted = (tuple(look for look in looks if (look.variant == DEFAULT) == own) for own in (True, False))
    training, held_out = data.episodes(validation=False), data.episodes(validation=True)
    identity = {"encoder": canonical(encoder), "preset": p.preset, "task": task}

    observation = load_rows(data, load_embeddings(embeddings, DEFAULT), training + held_out, p.compute.device).observation
    fitted = representation.shown(data, observation, training, representation.MOST)
    readers = representation.fit_readers(fitted.x, representation.targets(data, fitted.row), fitted.episode)
    default = representation.shown(data, observation, held_out)
    few = evenly(len(default.row), SAMPLE).to(default.row.device)
    own = default._replace(x=readers.standardised(default.x))
    sample = type(own)(*(values[few] for values in own))
    sparse = evenly(len(own.row), min(SAMPLE, APART * len(held_out))).to(own.row.device)
    measured = {"dim": float(own.x.shape[1]), "intrinsic_dimension": two_nn(own.x[sparse])}
    probes, properties = [_probe_table(readers, default, identity, first, data)], [_property_table(measured, identity, first)]
    for look in track(shifted, len(shifted), "look", f"probe {encoder}"):
        episodes = data.episodes(True, DEFAULT if look.paired else look.variant)
        observation = load_rows(data, load_embeddings(embeddings, look.variant), episodes, p.compute.device).observation
        seen = representation.shown(data, observation, episodes)
        probes.append(_probe_table(readers, seen, identity, look, data))
        ratio = signal_to_nuisance(own.x, readers.standardised(seen.x), own.episode) if look.paired else None
        properties.append(_property_table({"signal_to_nuisance": ratio}, identity, look))
    table = pl.concat(probes)
    table.write_parquet(result / "probes.parquet")
    pl.concat(properties).write_parquet(result / "properties.parquet")
    _sample_table(sample._replace(x=principal(sample.x, COMPONENTS)), identity, data).write_parquet(result / "sample.parquet")
    info = info_of(encoder)
    dim = int(own.x.shape[1]) if info is None or info.stores == "embedding" else None  # of others the data decides
    _encoder_table(_known(p, encoder), dim).write_parquet(result / "encoder.parquet")
    unread = table.filter(axis="default", method="ridge").group_by("target", maintain_order=True).agg(pl.col("value").mean())
    shares = ", ".join(f"{value:.3f} of the variance of {target}" for target, value in unread.rows())
    log(f"probe {encoder}: a linear map misses {shares or 'nothing: neither reward nor state varies'}")


def _probe_table(
    readers: "Readers", seen: "Shown", identity: dict[str, str], look: "Look", data: "Trajectories"
) -> "pl.DataFrame":  # fmt: skip
    """The schema of results/probes.parquet (docs/tables.md)."""
    import numpy as np
    import polars as pl

    from trainers.probes.representation import targets

    names, number, n = np.unique(seen.episode.cpu().numpy(), return_inverse=True, return_counts=True)
    quality = np.array(data.quality)[names]

    def rows(method: str, target: str, value: "NDArray[np.float64]") -> pl.DataFrame:
        columns = literals(identity) | look_columns(look) | {"quality": pl.Series(quality)}
        columns |= {"episode": pl.Series(names.astype(np.int32))} | literals({"target": target, "method": method})
        return pl.select(**columns, n=pl.Series(n.astype(np.int64)), value=pl.Series(value))

    asked = targets(data, seen.row)
    parts = [
        rows(method, target, np.bincount(number, errors.cpu().numpy(), minlength=len(names)) / n)
        for method, regressor in readers.methods.items()
        for target, errors in readers.asked.errors(regressor, seen.x, asked).items()
    ]
    return pl.concat(parts or [rows("", "", np.zeros(len(names))).clear()])


def _property_table(values: dict[str, float | None], identity: dict[str, str], look: "Look") -> "pl.DataFrame":
    """The schema of results/properties.parquet (docs/tables.md)."""
    import polars as pl

    columns = literals(identity) | look_columns(look) | {"property": pl.Series(list(values), dtype=pl.String)}
    return pl.select(**columns, value=pl.Series(list(values.values()), dtype=pl.Float64))


def _sample_table(sample: "Shown", identity: dict[str, str], data: "Trajectories") -> "pl.DataFrame":
    """encoder, task, episode, t, reward, feature."""
    import numpy as np
    import polars as pl

    row, episode = (values.cpu().numpy() for values in (sample.row, sample.episode))
    columns = literals({name: identity[name] for name in ("encoder", "task")})
    columns |= {"episode": pl.Series(episode.astype(np.int32))}
    columns |= {"t": pl.Series((row - data.episode_starts[episode]).astype(np.int32)), "reward": pl.Series(data.reward[row])}
    columns |= {"feature": pl.Series(sample.x.cpu().numpy()).cast(pl.List(pl.Float32))}
    return pl.select(**columns)


def _known(p: Params, encoder: str) -> dict[str, Any]:
    """What is known of the encoder (`EncoderInfo`); of a custom one, what is known of its base."""
    info = info_of(p.custom[encoder].base if encoder in p.custom else encoder)
    names = ("architecture", "objective", "data", "images", "language", "temporal")
    return {"encoder": canonical(encoder), **{name: getattr(info, name, None) for name in names}}


def _encoder_table(known: dict[str, Any], dim: int | None) -> "pl.DataFrame":
    """The schema of results/encoders.parquet (docs/tables.md), one row."""
    import polars as pl

    types = {"images": pl.Int64, "language": pl.Boolean, "temporal": pl.Boolean}
    own: dict[str, Any] = {name: pl.lit(value, types.get(name, pl.String)) for name, value in known.items()}
    return pl.select(**own, dim=pl.lit(dim, pl.Int64))


if __name__ == "__main__":
    run(main)
