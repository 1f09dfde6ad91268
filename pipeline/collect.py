"""Collect trajectories of mixed quality in one task.

    python -m pipeline.collect --task cartpole_swingup

Soft actor-critic learns on the physics state; then episodes are recorded, in parallel, of four qualities, with the
meanings of D4RL and V-D4RL: `random` acts uniformly; `expert` samples from the checkpoint of the best evaluated return;
`medium` from the one whose return is nearest to half of the expert's; `replay` are episodes of the learning itself,
spread evenly over it and simulated again exactly. Validation episodes are held out of every quality and come last.

Resume units: the SAC run, and each episode. Tiny variant: in a copy of params.yaml set `collect.sac.steps: 1500`,
`learning_starts: 200`, `checkpoint_every: 500` and a few episodes, then add `--params COPY`.
"""

from pathlib import Path
from typing import TYPE_CHECKING

from datasets.errors import UserError
from pipeline.log import log, track
from pipeline.params import QUALITIES, Params, load_params
from pipeline.stage import run
from pipeline.work import Work, code_digest, open_work

if TYPE_CHECKING:
    from concurrent.futures import Executor

    from pipeline.sim.behaviour import Learning
    from pipeline.sim.plans import Plan
    from pipeline.sim.recording import Episode

EVALUATION_EPISODES = 8  # per checkpoint
_SAC, _EVALUATION, _QUALITY = 0, 1, 2  # independent streams of seeds
_CODE = ["pipeline/collect.py", "datasets/trajectories.py"]
_CODE += [f"pipeline/sim/{name}.py" for name in ("behaviour", "env", "plans", "recording", "tasks")]
_VERSIONS = ("dm_control", "mujoco", "numpy", "stable_baselines3", "torch")


def main(task: str, params: Path = Path("params.yaml")) -> None:
    """Collect trajectories of mixed quality in one task, as data/trajectories/TASK."""
    settings = load_params(params)
    key = {
        "task": known_task(task, settings), "seed": settings.seed, "threads": settings.compute.threads,
        "collect": settings.collect.model_dump(mode="json", by_alias=True), "versions": _versions(), "code": code_digest(*_CODE),
    }  # fmt: skip
    with open_work("collect", Path("data/trajectories") / task, key) as work:
        if work is not None:
            _collect(task, settings, work)


def known_task(task: str, settings: Params) -> str:
    """`task`, where it is one of the params file's.

    Raises:
        UserError: it is not.
    """
    if task not in settings.tasks:
        raise UserError(f"--task {task}: not among the tasks of the params file: {', '.join(settings.tasks)}")
    return task


def _versions() -> dict[str, str]:
    from importlib.metadata import version

    return {name: version(name) for name in _VERSIONS}


def _collect(task: str, settings: Params, work: Work) -> None:
    from datasets.trajectories import FILE, save_trajectories
    from pipeline.parallel import process_pool
    from pipeline.sim.recording import join_episodes
    from pipeline.sim.tasks import Simulation

    learning = _learn(task, settings, work)
    with process_pool(settings.compute.workers) as pool:
        returns = _evaluate(task, settings, work, learning, pool)
        expert = max(returns, key=lambda steps: returns[steps])
        medium = min(returns, key=lambda steps: abs(returns[steps] - returns[expert] / 2))
        log(f"{task}: expert {returns[expert]:.0f} (after {expert} steps), medium {returns[medium]:.0f} (after {medium})")
        plans, quality, validation = _plan(task, settings, work, learning, {"expert": expert, "medium": medium})
        episodes = _play(plans, pool, f"collect {task}")
    meta: dict[str, str | int | float] = {f"version_{name}": version for name, version in _versions().items()}
    meta |= {"action_repeat": settings.collect.action_repeat, "episode_steps": settings.collect.episode_steps}
    meta |= {"expert_steps": expert, "medium_steps": medium}
    for name in dict.fromkeys(quality):
        totals = [episode.total for episode, its in zip(episodes, quality, strict=True) if its == name]
        meta[f"return_{name}"] = sum(totals) / len(totals)
        log(f"{task}: {len(totals)} episodes of quality {name}, mean return {meta[f'return_{name}']:.0f}")
    seeds = [plan.seed for plan in plans]
    data = join_episodes(task, episodes, quality, seeds, validation, Simulation(task).pristine, meta)
    save_trajectories(data, work.result / FILE)


def _learn(task: str, settings: Params, work: Work) -> "Learning":
    from pipeline.sim.behaviour import Learning, learn_sac
    from pipeline.sim.env import TaskEnv
    from pipeline.sim.recording import read_arrays, write_arrays

    path = _learning_file(work)
    if not path.exists():
        collect = settings.collect
        env = TaskEnv(task, collect.action_repeat, collect.episode_steps)
        seed = _seed(settings.seed, _SAC, 0)
        learning = learn_sac(env, collect.sac, seed, settings.compute.threads, lambda s: track(s, len(s), "step", f"sac {task}"))
        write_arrays(path, learning.arrays())
    return Learning.from_arrays(read_arrays(path))


def _evaluate(task: str, settings: Params, work: Work, learning: "Learning", pool: "Executor") -> dict[int, float]:
    """Mean return of each checkpoint, over the same few episodes."""
    seeds = [_seed(settings.seed, _EVALUATION, episode) for episode in range(EVALUATION_EPISODES)]
    plans = [
        _episode(task, settings, work, "checkpoint", steps, seed, f"evaluation-{steps}-{number}")
        for steps in learning.checkpoints
        for number, seed in enumerate(seeds)
    ]
    totals = iter([episode.total for episode in _play(plans, pool, f"evaluate {task}")])
    return {steps: sum(next(totals) for _ in range(EVALUATION_EPISODES)) / EVALUATION_EPISODES for steps in learning.checkpoints}


def _plan(
    task: str, settings: Params, work: Work, learning: "Learning", checkpoints: dict[str, int]
) -> tuple[list["Plan"], list[str], list[bool]]:
    """All episodes as they lie in the file, the quality of each, and whether it is held out."""
    collect = settings.collect
    if collect.episodes.replay > len(learning.episodes):
        raise UserError(
            f"collect.episodes.replay is {collect.episodes.replay}, but SAC finishes {len(learning.episodes)} episodes in"
            f" {collect.sac.steps} steps: lower it, or raise collect.sac.steps"
        )
    entries = []
    for stream, quality in enumerate(QUALITIES, start=_QUALITY):
        count = collect.episodes.of(quality)
        held_out = _spread(collect.validation.of(quality), count)
        for number, learned in enumerate(_spread(count, len(learning.episodes))):
            policy, index, seed = "checkpoint", checkpoints.get(quality, 0), _seed(settings.seed, stream, number)
            if quality == "random":
                policy = "random"
            elif quality == "replay":
                policy, index, seed = "replay", learned, learning.episodes[learned][0]
            entry = _episode(task, settings, work, policy, index, seed, f"{quality}-{number}")
            entries.append((entry, str(quality), number in held_out))
    entries.sort(key=lambda entry: entry[2])  # stable: validation last, the qualities in order within each part
    plans, qualities, validation = zip(*entries, strict=True)
    return list(plans), list(qualities), list(validation)


def _episode(task: str, settings: Params, work: Work, policy: str, index: int, seed: int, name: str) -> "Plan":
    from pipeline.sim.plans import Plan

    folder = work.folder / "episodes"
    folder.mkdir(exist_ok=True)
    collect = settings.collect
    out = folder / f"{name}.npz"
    return Plan(task, collect.action_repeat, collect.episode_steps, policy, index, seed, _learning_file(work), out)


def _play(plans: list["Plan"], pool: "Executor", desc: str) -> list["Episode"]:
    """Play the episodes that are not there yet, then read all, in order."""
    from pipeline.parallel import map_shards
    from pipeline.sim.plans import play
    from pipeline.sim.recording import read_episode

    missing = [plan for plan in plans if not plan.out.exists()]
    for _ in track(map_shards(play, missing, pool), len(plans), "episode", desc, initial=len(plans) - len(missing)):
        pass
    return [read_episode(plan.out) for plan in plans]


def _learning_file(work: Work) -> Path:
    return work.folder / "learning.npz"


def _spread(count: int, among: int) -> list[int]:
    """`count` indices spread evenly over range(among)."""
    return [(2 * i + 1) * among // (2 * count) for i in range(count)]


def _seed(seed: int, stream: int, index: int) -> int:
    """A seed of its own for every episode, from the data's."""
    import numpy as np

    return int(np.random.SeedSequence([seed, stream, index]).generate_state(1)[0]) >> 1


if __name__ == "__main__":
    run(main)
