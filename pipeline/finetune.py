"""Act, imagine, learn: fine-tune online from the offline world model, beside a control that only has the collected data.

    python -m pipeline.finetune --encoder state --task cartpole_swingup --algorithm dreamerv3

Writes `results/online/ENCODER/TASK/ALGORITHM/{online,training_episodes}.parquet` and `agent.pt`, for the first of
`train.seeds`. The two arms run side by side, each in a process of its own; a killed run goes on from their last checkpoints.
An imported task has no environment, and only DreamerV3's model learns online so far: elsewhere the tables have no rows, and there
is no agent. Tiny variant: in a copy of params.yaml set `finetune.offline_updates: 10`, `finetune.env_steps: 1000` and
`finetune.eval_episodes: 2`, then add `--params COPY`.
"""

import statistics
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from datasets.errors import UserError
from datasets.manifest import digest
from pipeline import training
from pipeline.log import log, track
from pipeline.params import Params, canonical, load_params
from pipeline.stage import run
from pipeline.work import code_digest, open_work

if TYPE_CHECKING:
    from trainers.protocols import Env

AGENT = (
    "__init__", "actor", "behaviour", "critic", "episodes", "imagination", "normaliser", "online", "play", "replay", "returns",
)  # fmt: skip
CODE = (
    "pipeline/finetune.py", "pipeline/observe.py", "pipeline/encoders/area.py", "pipeline/sim/env.py", "pipeline/sim/tasks.py",
    *(f"trainers/agent/{name}.py" for name in AGENT), *training.CODE, *training.OWN_CODE["dreamerv3"],
)  # fmt: skip
IDENTITY = {
    "algorithm": str, "encoder": str, "task": str, "seed": int, "init": str, "preset": str, "variant": str, "axis": str,
    "severity": float, "split": str,
}  # fmt: skip
EVALUATION = {"arm": str, "env_steps": int, "updates": int, "return": float, "return_std": float, "episodes": int}
EPISODE = {"env_steps": int, "return": float}
LEARNS_ONLINE = ("dreamerv3",)  # algorithms with an agent
ARMS = {"online": True, "offline_only": False}  # name -> whether it acts


@dataclass(frozen=True)
class Arm:
    """One run of the loop, as its process is told; its outcome is `folder/outcome.pt`."""

    name: str
    params: Params
    encoder: str
    task: str
    algorithm: str
    folder: Path

    @property
    def outcome(self) -> Path:
        return self.folder / "outcome.pt"


def main(encoder: str, task: str, algorithm: str, params: Path = Path("params.yaml")) -> None:
    p = load_params(params)
    p.train.of(algorithm)  # refuses an unknown one
    if task in p.imports or algorithm not in LEARNS_ONLINE:
        imported = f"{task} is imported and has no environment: not fine-tuned"
        _skip(encoder, task, algorithm, imported if task in p.imports else f"online learning of {algorithm} is not there yet")
        return
    inputs = {
        "trajectories": Path("data/trajectories") / task, "weights": Path("data/weights") / task / encoder,
        "embeddings": Path("data/embeddings") / task / encoder, "models": Path("models") / task / encoder / algorithm,
    }  # fmt: skip
    if (frames := training.frames_of(encoder, task, p.train.of(algorithm).loop)) is not None:
        inputs["frames"] = frames
    key = {
        "encoder": canonical(encoder), "task": task, "algorithm": algorithm, "preset": p.preset, "seed": p.train.seeds[0],
        "finetune": p.finetune.model_dump(mode="json", by_alias=True), "units": p.train.rssm.units, "clip": p.train.clip,
        "episode": [p.collect.action_repeat, p.collect.episode_steps],
        "view": [p.render.size, p.render.camera_of(task), p.render.quality], "compute": p.compute.identity,
        "code": code_digest(*CODE), **{name: digest(folder) for name, folder in inputs.items()},
    }  # fmt: skip
    with open_work("finetune", Path("results/online") / encoder / task / algorithm, key) as work:
        if work is None:
            return
        from pipeline.parallel import map_shards, process_pool

        arms = [Arm(name, p, encoder, task, algorithm, work.folder / name) for name in ARMS]
        todo = [arm for arm in arms if not arm.outcome.exists()]
        with process_pool(p.compute.workers) as pool:
            for _ in map_shards(run_arm, todo, pool):
                pass
        _collect_results(arms, work.result)


def _skip(encoder: str, task: str, algorithm: str, why: str) -> None:
    """Write the tables without rows."""
    import polars as pl

    key = {"encoder": canonical(encoder), "task": task, "algorithm": algorithm, "code": code_digest(*CODE), "skipped": why}
    with open_work("finetune", Path("results/online") / encoder / task / algorithm, key) as work:
        if work is None:
            return
        log(f"finetune {encoder}: {why}")
        pl.DataFrame(schema=IDENTITY | EVALUATION).write_parquet(work.result / "online.parquet")
        pl.DataFrame(schema=IDENTITY | EPISODE).write_parquet(work.result / "training_episodes.parquet")


def run_arm(arm: Arm) -> None:
    """Run one arm to its end; `outcome.pt` is written last, so that it marks a finished arm."""
    import torch

    from datasets.embeddings import load_embeddings
    from datasets.frames import DEFAULT
    from datasets.manifest import verify
    from datasets.trajectories import load_trajectories
    from datasets.windows import window_starts
    from pipeline.observe import open_observation_encoder
    from trainers.agent.behaviour import Behaviour, BehaviourConfig
    from trainers.agent.online import OnlineConfig, OnlineTrainer
    from trainers.agent.play import Player
    from trainers.agent.replay import Replay
    from trainers.checkpoint import load_world_model, save_torch
    from trainers.data import load_rows
    from trainers.worldmodel import WorldModel

    p, f = arm.params, arm.params.finetune
    seed, device = p.train.seeds[0], p.compute.device
    torch.set_num_threads(p.compute.threads)
    models = Path("models") / arm.task / arm.encoder / arm.algorithm
    verify(models)
    data = load_trajectories(Path("data/trajectories") / arm.task)
    embeddings = load_embeddings(Path("data/embeddings") / arm.task / arm.encoder, DEFAULT)
    folder = training.frames_of(arm.encoder, arm.task, p.train.of(arm.algorithm).loop)
    frames = None if folder is None else load_embeddings(folder, DEFAULT)
    rows = load_rows(data, embeddings, data.episodes(validation=False), device, frames)
    identity: dict[str, str | int] = {
        "encoder": canonical(arm.encoder),
        "task": arm.task,
        "algorithm": arm.algorithm,
        "seed": seed,
    }
    model = load_world_model(models / f"seed-{seed}" / training.MODEL, device, **identity).model
    if not isinstance(model, WorldModel):
        raise TypeError(f"{arm.algorithm} has no agent")
    encoder = open_observation_encoder(p, arm.encoder, arm.task, tuple(rows.observation.shape[1:]), str(embeddings.values.dtype))
    if model.config.needs_frames != (frames is not None):
        raise UserError(
            f"{models} was trained with decoder: {model.config.decoder}, train.decoder is {p.train.decoder}: train again"
        )
    envs = _open_environments(p, arm.task, encoder.needs_image or frames is not None)
    torch.manual_seed(seed)
    learned = BehaviourConfig(
        f.imagine, f.imagine_last, f.discount, f.lambda_, f.entropy, f.learning_rate, p.train.clip, p.train.rssm.units
    )
    bounds = (torch.from_numpy(bound) for bound in (envs[0].action_low, envs[0].action_high))
    behaviour = Behaviour(learned, model.feature_dim, *bounds).to(device)
    acts = ARMS[arm.name]
    replay = Replay(rows, window_starts(data, f.length), f.batch, f.length, f.offline_fraction if acts else 1.0, seed)
    config = OnlineConfig(
        f.offline_updates, f.env_steps, f.train_every, f.eval_every, f.eval_episodes, f.world_model_learning_rate, p.train.clip,
        p.train.checkpoint_every, seed, acts,
    )  # fmt: skip
    player = Player(envs, encoder, model, behaviour.actor)
    name = f"finetune {arm.encoder} {arm.name}"
    trainer = OnlineTrainer(config, model, behaviour, replay, player, arm.folder, name, track, log)
    progress = trainer.run()
    save_torch(
        arm.outcome, {"progress": progress.to_plain(), "agent": trainer.agent_state() | {"meta": identity | {"arm": arm.name}}}
    )


def _open_environments(p: Params, task: str, seen: bool) -> "list[Env]":
    from pipeline.sim.env import TaskEnv, View

    view = View(p.render.size, p.render.camera_of(task), p.render.quality) if seen else None
    return [TaskEnv(task, p.collect.action_repeat, p.collect.episode_steps, view) for _ in range(p.finetune.envs)]


def _collect_results(arms: list[Arm], result: Path) -> None:
    """Both arms' evaluations in one table; the online arm's episodes and agent."""
    import polars as pl

    from trainers.checkpoint import load_torch, save_torch

    outcomes = {arm.name: load_torch(arm.outcome, "outcome of fine-tuning") for arm in arms}
    evaluations = [
        {
            **_identity(arm), "arm": arm.name, "env_steps": env_steps, "updates": updates, "return": statistics.fmean(returns),
            "return_std": statistics.pstdev(returns), "episodes": len(returns),
        }
        for arm in arms
        for env_steps, updates, returns in outcomes[arm.name]["progress"]["evaluations"]
    ]  # fmt: skip
    pl.DataFrame(evaluations, IDENTITY | EVALUATION).write_parquet(result / "online.parquet")
    online = arms[0]
    episodes = [
        {**_identity(online), "env_steps": env_steps, "return": total}
        for env_steps, total in outcomes[online.name]["progress"]["episodes"]
    ]
    pl.DataFrame(episodes, IDENTITY | EPISODE).write_parquet(result / "training_episodes.parquet")
    save_torch(result / "agent.pt", outcomes[online.name]["agent"])


def _identity(arm: Arm) -> dict[str, Any]:
    return {
        "algorithm": arm.algorithm, "encoder": canonical(arm.encoder), "task": arm.task, "seed": arm.params.train.seeds[0],
        "init": "offline", "preset": arm.params.preset, "variant": "default", "axis": "default", "severity": 0.0, "split": "id",
    }  # fmt: skip


if __name__ == "__main__":
    run(main)
