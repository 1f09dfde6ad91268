"""Predict the reward of held-out episodes with a trained world model: at every horizon, under every look.

    python -m pipeline.evaluate --encoder state --task cartpole_swingup --algorithm dreamerv3

Writes `results/parts/ENCODER/TASK/ALGORITHM/`: `reward_error.parquet`, one row per prediction; `dynamics.parquet` and
`calibration.parquet`, one row per episode; `recordings.parquet`, one imagined episode (docs/tables.md); `latents.parquet`,
`learning.parquet`. Tiny variant: in a copy of params.yaml set `evaluate.horizon: 2` and `evaluate.long_starts: 0`, then add
`--params COPY`.
"""

from pathlib import Path
from typing import TYPE_CHECKING

from datasets.manifest import digest, verify
from pipeline import training
from pipeline.columns import literals, look_columns
from pipeline.log import log, track
from pipeline.params import Params, canonical, load_params
from pipeline.stage import run
from pipeline.training import LEARNING, MODEL, Identity
from pipeline.work import code_digest, open_work

if TYPE_CHECKING:
    import polars as pl

    from datasets.episodes import Trajectories
    from datasets.frames import Look
    from trainers.evaluate import Latents, Predictions
    from trainers.probes.measures import Calibration, Dynamics
    from trainers.recording.record import Recording

CODE = (
    "pipeline/evaluate.py", "pipeline/columns.py", "trainers/evaluate.py", "trainers/quantiles.py",
    "trainers/worldmodel/observation.py", "analysis/chosen.py",
    *(f"trainers/probes/{n}.py" for n in ("measures", "probe", "ridge", "targets")),
    *(f"trainers/recording/{n}.py" for n in ("nearest", "record", "spaces")), *training.CODE,
)  # fmt: skip


def main(encoder: str, task: str, algorithm: str, params: Path = Path("params.yaml")) -> None:
    p = load_params(params)
    p.train.of(algorithm)  # refuses an unknown one
    models, frames = Path("models") / task / encoder / algorithm, Path("data/frames") / task
    key = {
        "encoder": canonical(encoder), "task": task, "algorithm": algorithm, "preset": p.preset, "seeds": p.train.seeds,
        "evaluate": p.evaluate.model_dump(), "compute": p.compute.identity, "models": digest(models),
        "trajectories": digest(Path("data/trajectories") / task), "embeddings": digest(Path("data/embeddings") / task / encoder),
        "frames": digest(frames), "code": code_digest(*CODE, *training.OWN_CODE[algorithm]),
    }  # fmt: skip
    with open_work("evaluate", Path("results/parts") / encoder / task / algorithm, key) as work:
        if work is not None:
            _evaluate(p, encoder, task, algorithm, work.result)


def _evaluate(p: Params, encoder: str, task: str, algorithm: str, result: Path) -> None:
    import polars as pl

    from analysis.chosen import best_episode
    from datasets.embeddings import load_embeddings
    from datasets.frames import DEFAULT, load_frames_index
    from datasets.tokens import load_tokens
    from datasets.trajectories import load_trajectories
    from trainers.arithmetic import set_arithmetic
    from trainers.checkpoint import load_world_model
    from trainers.data import load_rows
    from trainers.evaluate import filter_episodes, predict_rewards, sample_latents
    from trainers.probes.measures import HORIZONS, LatentProbe, Measures, fit_latent_probe, targets
    from trainers.recording.record import record

    set_arithmetic(p.compute.threads, p.train.precision)
    models = Path("models") / task / encoder / algorithm
    verify(models)
    data = load_trajectories(Path("data/trajectories") / task)
    looks = [frames.look for frames in load_frames_index(Path("data/frames") / task).sets]
    looks.sort(key=lambda look: look.variant != DEFAULT)  # its rows are what probes are fitted to
    expected = {"encoder": canonical(encoder), "task": task, "algorithm": algorithm}
    paths = {seed: models / f"seed-{seed}" / MODEL for seed in p.train.seeds}
    trained = {seed: load_world_model(path, p.compute.device, seed=seed, **expected).model for seed, path in paths.items()}
    folder = Path("data/embeddings") / task / encoder
    tokens = training.reads_tokens(folder, [look.variant for look in looks], p.train.of(algorithm).loop.reads)
    predictions: list[pl.DataFrame] = []
    dynamics: list[pl.DataFrame] = []
    calibration: list[pl.DataFrame] = []
    latents: list[pl.DataFrame] = []
    recordings: list[pl.DataFrame] = []
    probes: dict[int, LatentProbe] = {}
    training_episodes, longest = data.episodes(validation=False), p.evaluate.horizon
    for look in track(looks, len(looks), "look", f"evaluate {algorithm} {encoder}"):
        episodes = data.episodes(True, DEFAULT if look.paired else look.variant)
        embeddings = load_tokens(folder, look.variant) if tokens else load_embeddings(folder, look.variant)
        default = look.variant == DEFAULT
        rows = load_rows(data, embeddings, episodes + (training_episodes if default else []), p.compute.device)
        given = None
        for seed, model in trained.items():
            identity: Identity = {
                "encoder": canonical(encoder),
                "algorithm": algorithm,
                "seed": seed,
                "preset": p.preset,
                "task": task,
            }
            if default:
                probes[seed] = fit_latent_probe(model, data, rows, training_episodes, len(episodes))
            filtered = filter_episodes(model, data, rows, episodes)
            given = targets(data, rows, filtered.index.flatten()) if given is None else given
            horizons = {longest, *(h for h in HORIZONS if h <= longest)} if default else {0, longest}
            measures = Measures(model, filtered, given, probes[seed], horizons)
            made = predict_rewards(model, filtered, longest, p.evaluate.long_starts, measures.visit)
            predictions.append(_episode_table(made, identity, look, data))
            dynamics.append(_episode_table(measures.dynamics(), identity, look, data))
            calibration.append(_episode_table(measures.calibration(), identity, look, data))
            if default:
                latents.append(_latent_table(sample_latents(model, filtered, p.evaluate.latents), identity))
                _, shown = best_episode((data.quality[episode], episode) for episode in episodes)
                recorded = record(model, data, rows, filtered, shown, episodes + training_episodes)
                recordings.append(_episode_table(recorded, identity, look, data))
    table = pl.concat(predictions)
    table.write_parquet(result / "reward_error.parquet")
    pl.concat(dynamics).write_parquet(result / "dynamics.parquet")
    pl.concat(calibration).write_parquet(result / "calibration.parquet")
    found = pl.col("^.*nearest_(episode|t)$").replace(-1, None), pl.col("^.*nearest.*distance$").fill_nan(None)
    pl.concat(recordings).with_columns(*found).write_parquet(result / "recordings.parquet")
    pl.concat(latents).write_parquet(result / "latents.parquet")
    pl.concat([pl.read_parquet(models / f"seed-{seed}" / LEARNING) for seed in trained]).write_parquet(result / LEARNING)
    log(f"evaluate {algorithm} {encoder}: {len(table)} predictions; default look, filtering: R2 {_r2(table):.3f}")


def _episode_table(
    made: "Predictions | Dynamics | Calibration | Recording", identity: Identity, look: "Look", data: "Trajectories"
) -> "pl.DataFrame":
    """The schemas of results/{reward_error,dynamics,calibration,recordings}.parquet (docs/tables.md)."""
    import numpy as np
    import polars as pl

    columns = literals(identity) | look_columns(look)
    columns |= {"quality": pl.Series(np.array(data.quality)[made.episode])}
    columns |= {name: pl.Series(values) for name, values in made._asdict().items()}
    return pl.select(**columns)


def _latent_table(made: "Latents", identity: Identity) -> "pl.DataFrame":
    import polars as pl

    columns = literals({name: identity[name] for name in ("encoder", "algorithm", "seed", "task")})
    columns |= {name: pl.Series(values) for name, values in made._asdict().items() if name != "feature"}
    columns |= {"feature": pl.Series(made.feature.astype("float32")).cast(pl.List(pl.Float32))}
    return pl.select(**columns)


def _r2(table: "pl.DataFrame") -> float:
    import polars as pl

    rows = table.filter((pl.col("axis") == "default") & (pl.col("horizon") == 0))
    true, predicted = (rows[name].to_numpy().astype("float64") for name in ("reward", "reward_pred"))
    return float(1 - ((true - predicted) ** 2).sum() / ((true - true.mean()) ** 2).sum())


if __name__ == "__main__":
    run(main)
