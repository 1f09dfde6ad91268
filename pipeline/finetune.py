"""Act, imagine, learn: fine-tune online from the offline world model, beside controls that never act or start from nothing.

    python -m pipeline.finetune --encoder state --task cartpole_swingup --algorithm dreamerv3

Writes `results/online/ENCODER/TASK/ALGORITHM/{online,evaluation_episodes,training_episodes}.parquet`,
`seed-S/agent.pt` and `films/ARM-seed-S-LOOK.webp`. The arms that
`finetune.arms` asks for run side by side, for every one of `train.seeds`, each in a process of its own; a killed run goes on from
their last checkpoints. An imported task has no environment, and DINO-WM no agent: there the tables have no rows. Tiny variant: in
a copy of params.yaml set `finetune.offline_updates: 10`, `finetune.env_steps: 1000` and `finetune.eval_episodes: 2`, then add
`--params COPY`.
"""

import shutil
import statistics
from dataclasses import asdict
from pathlib import Path
from typing import Any

from datasets.frames import DEFAULT_LOOK, Look
from datasets.manifest import digest
from pipeline import training
from pipeline.acting import CODE, FROM_NOTHING, LEARNS_ONLINE, ONLINE, Arm, run_arm
from pipeline.clock import save_clock
from pipeline.log import log
from pipeline.looks import looks_of
from pipeline.params import canonical, load_params
from pipeline.stage import run
from pipeline.work import code_digest, open_work

IDENTITY = {
    "algorithm": str, "encoder": str, "task": str, "seed": int, "init": str, "preset": str, "variant": str, "axis": str,
    "severity": float, "split": str,
}  # fmt: skip
EVALUATION = {"arm": str, "env_steps": int, "updates": int, "return": float, "return_std": float, "episodes": int}
EVALUATED = {"arm": str, "env_steps": int, "updates": int, "episode": int, "return": float}
EPISODE = {"arm": str, "env_steps": int, "return": float}

Rows = list[dict[str, Any]]


def main(encoder: str, task: str, algorithm: str, params: Path = Path("params.yaml")) -> None:
    p = load_params(params)
    p.train.of(algorithm)  # refuses an unknown one
    out = Path("results/online") / encoder / task / algorithm
    if task in p.imports:
        _skip(out, encoder, task, algorithm, f"{task} is imported and has no environment")
        return
    if algorithm not in LEARNS_ONLINE:
        _skip(out, encoder, task, algorithm, f"{algorithm} has no agent")
        return
    inputs = {
        "trajectories": Path("data/trajectories") / task, "weights": Path("data/weights") / task / encoder,
        "embeddings": Path("data/embeddings") / task / encoder, "models": Path("models") / task / encoder / algorithm,
    }  # fmt: skip
    if (frames := training.frames_of(encoder, task, p.train.of(algorithm).loop)) is not None:
        inputs["frames"] = frames
    key = {
        "encoder": canonical(encoder), "task": task, "algorithm": algorithm, "preset": p.preset,
        "finetune": p.finetune.of(algorithm), "seeds": p.train.seeds, "train": p.train.of(algorithm).identity,
        "episode": [p.collect.action_repeat, p.collect.episode_steps],
        "view": [p.render.size, p.render.camera_of(task), p.render.quality],
        "looks": [asdict(look) for look in looks_of(p, task)],
        "compute": p.compute.identity,
        "code": code_digest(*CODE, *training.OWN_CODE[algorithm]), **{name: digest(folder) for name, folder in inputs.items()},
    }  # fmt: skip
    with open_work("finetune", out, key) as work:
        if work is None:
            return
        from pipeline.parallel import map_shards, process_pool
        from trainers.agent.online import TIMES
        from trainers.agent.stopwatch import Stopwatch

        arms = [
            Arm(name, p, encoder, task, algorithm, seed, work.folder / f"{name}-seed-{seed}")
            for seed in p.train.seeds
            for name in p.finetune.arms
        ]
        todo = [arm for arm in arms if not arm.outcome.exists()]
        with process_pool(p.compute.workers) as pool:
            for _ in map_shards(run_arm, todo, pool):
                pass
        _collect_results(arms, work.result)
        save_clock(out, work.key, [(arm.name, arm.seed, *note) for arm in arms for note in Stopwatch(arm.folder / TIMES).notes])


def _skip(out: Path, encoder: str, task: str, algorithm: str, why: str) -> None:
    """Write the tables without rows."""
    key = {"encoder": canonical(encoder), "task": task, "algorithm": algorithm, "code": code_digest(*CODE), "skipped": why}
    with open_work("finetune", out, key) as work:
        if work is not None:
            log(f"finetune {encoder}: {why}: not fine-tuned")
            _write_tables(work.result, [], [], [])


def _write_tables(result: Path, evaluations: Rows, evaluated: Rows, episodes: Rows) -> None:
    import polars as pl

    pl.DataFrame(evaluations, IDENTITY | EVALUATION).write_parquet(result / "online.parquet")
    pl.DataFrame(evaluated, IDENTITY | EVALUATED).write_parquet(result / "evaluation_episodes.parquet")
    pl.DataFrame(episodes, IDENTITY | EPISODE).write_parquet(result / "training_episodes.parquet")


def _collect_results(arms: list[Arm], result: Path) -> None:
    """Every arm's evaluations in one table, the acting arms' episodes in another; agents that began with the offline model."""
    from trainers.checkpoint import load_torch, save_torch

    looks = {look.variant: look for look in looks_of(arms[0].params, arms[0].task)}
    evaluations, evaluated, episodes = Rows(), Rows(), Rows()
    for arm in arms:
        outcome = load_torch(arm.outcome, "outcome of fine-tuning")
        same = _identity(arm) | {"arm": arm.name}
        for env_steps, updates, returns, variant in outcome["progress"]["evaluations"]:
            at = same | _look(looks[variant]) | {"env_steps": env_steps, "updates": updates}
            spread = {"return": statistics.fmean(returns), "return_std": statistics.pstdev(returns), "episodes": len(returns)}
            evaluations.append(at | spread)
            evaluated += [at | {"episode": number, "return": value} for number, value in enumerate(returns)]
        for env_steps, total in outcome["progress"]["episodes"]:
            episodes.append(same | _look(DEFAULT_LOOK) | {"env_steps": env_steps, "return": total})
        for film in sorted(arm.folder.glob("*.webp")):
            (result / "films").mkdir(exist_ok=True)
            shutil.copyfile(film, result / "films" / f"{arm.name}-seed-{arm.seed}-{film.name}")
        if arm.name == ONLINE:
            folder = result / f"seed-{arm.seed}"
            folder.mkdir()
            save_torch(folder / "agent.pt", outcome["agent"])
    _write_tables(result, evaluations, evaluated, episodes)


def _identity(arm: Arm) -> dict[str, Any]:
    return {
        "algorithm": arm.algorithm, "encoder": canonical(arm.encoder), "task": arm.task, "seed": arm.seed,
        "init": "none" if arm.name == FROM_NOTHING else "offline", "preset": arm.params.preset,
    }  # fmt: skip


def _look(look: Look) -> dict[str, Any]:
    return {"variant": look.variant, "axis": look.axis, "severity": look.severity, "split": look.split}


if __name__ == "__main__":
    run(main)
