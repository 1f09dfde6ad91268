"""Collect trajectories of mixed quality in one task.

    python -m pipeline.collect --task cartpole_swingup

Soft actor-critic learns on the physics state; then episodes are recorded, in parallel, of four qualities, with the
meanings of D4RL and V-D4RL: `random` acts on noise alone; `expert` samples from the checkpoint of the best evaluated return;
`medium` from the one whose return is nearest to half of the expert's; `replay` are episodes of the learning itself (D4RL's
full replay), spread evenly over it and simulated again exactly. Validation episodes are held out of every quality and come
after the others; last come those with resized bodies (`collect.size`), whose `replay` acts as the nearest checkpoint did.
A task of `imports` is not simulated but read from another project's files (docs/interchange.md); one of `environments` is a
Gymnasium environment of the user's own, whose code this runs (docs/environments.md).

Resume units: the SAC run, and each episode. Tiny variant: in a copy of params.yaml set `collect.sac.steps: 1500`,
`learning_starts: 200`, `checkpoint_every: 500` and a few episodes, then add `--params COPY`.
"""

import json
from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

from datasets.errors import UserError
from pipeline.log import log, track
from pipeline.params import QUALITIES, Import, Params, load_params
from pipeline.stage import run
from pipeline.work import Work, code_digest, open_work, require_space

if TYPE_CHECKING:
    from concurrent.futures import Executor

    from numpy.typing import NDArray

    from datasets.episodes import Episode, EpisodeFacts, Meta
    from pipeline.sim.behaviour import Learning
    from pipeline.sim.plans import Plan
    from pipeline.sim.schedule import Entry, Schedule

_SIM = "behaviour env plans recording schedule tasks variants looks/axis looks/draw looks/size"
_CODE = [
    "pipeline/collect.py",
    "datasets/episodes.py",
    "datasets/trajectories.py",
    *(f"pipeline/sim/{name}.py" for name in _SIM.split()),
]
_VERSIONS = ("dm_control", "mujoco", "numpy", "stable_baselines3", "torch")


def main(task: str, params: Path = Path("params.yaml")) -> None:
    """Collect trajectories of mixed quality in one task, as data/trajectories/TASK."""
    settings = load_params(params)
    out = Path("data/trajectories") / known_task(task, settings)
    if spec := settings.imports.get(task):
        _import(task, spec, out)
        return
    key = {
        "task": task, "seed": settings.seed, "threads": settings.compute.threads,
        "collect": settings.collect.model_dump(mode="json", by_alias=True), "versions": _versions(), "code": code_digest(*_CODE),
    }  # fmt: skip
    about: Meta = {}
    if source := settings.source_of(task):
        from pipeline.environments import CODE, environment_digest

        about["environment"] = environment_digest(source)
        key |= {"about": about, "code": code_digest(*_CODE, *CODE)}
    with open_work("collect", out, key) as work:
        if work is not None:
            _collect(task, settings, about, work)


def _import(task: str, spec: Import, out: Path) -> None:
    """Take over another project's trajectories."""
    from datasets.trajectories import FILE
    from pipeline.importing import CODE, import_digest, import_trajectories

    key = {"task": task, "import": spec.model_dump(exclude={"path"}), "source": import_digest(spec), "code": code_digest(*CODE)}
    with open_work("collect", out, key) as work:
        if work is not None:
            import_trajectories(spec, task, work.result / FILE)


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


def _collect(task: str, settings: Params, about: "Meta", work: Work) -> None:
    from datasets.trajectories import FILE, write_trajectories
    from pipeline.parallel import process_pool
    from pipeline.sim.schedule import Schedule, size_looks

    path = work.folder / "learning.npz"
    schedule = Schedule(task, settings, _learn(task, settings, path), path, work.folder / "episodes")
    with process_pool(settings.compute.workers) as pool:
        returns = _evaluate(schedule, pool)
        expert, medium = expert_and_medium(returns)
        log(f"{task}: expert {returns[expert]:.0f} (after {expert} steps), medium {returns[medium]:.0f} (after {medium})")
        entries = schedule.entries({"expert": expert, "medium": medium})
        _play([entry.plan for entry in entries], pool, f"collect {task}")
    meta: Meta = {f"version_{name}": version for name, version in _versions().items()}
    meta |= {"action_repeat": settings.collect.action_repeat, "episode_steps": settings.collect.episode_steps}
    original, time = ({}, {}) if task in settings.environments else _model_and_time(task, entries)
    meta |= {"expert_steps": expert, "medium_steps": medium, **time}
    meta |= {"sizes": json.dumps([asdict(look) for look in size_looks(settings, task)])}
    meta |= _mean_returns(task, entries) | about
    require_space(work.result / FILE, sum(entry.plan.out.stat().st_size for entry in entries))
    write_trajectories(work.result / FILE, task, _recorded(entries), meta, original)


def expert_and_medium(returns: dict[int, float]) -> tuple[int, int]:
    """The checkpoint of the best return, and that whose return is nearest to half of it.

    Where returns are negative, which only environments of the user's own give, half is counted from the lowest.
    """
    expert = max(returns, key=lambda steps: returns[steps])
    half = (min(0.0, *returns.values()) + returns[expert]) / 2
    return expert, min(returns, key=lambda steps: abs(returns[steps] - half))


def _model_and_time(task: str, entries: list["Entry"]) -> "tuple[dict[str, NDArray[Any]], Meta]":
    """(the model fields that resets changed, as the task loads them; `control_timestep` in seconds)."""
    from pipeline.sim.recording import changed_fields
    from pipeline.sim.tasks import Simulation

    simulation = Simulation(task)
    changed = set().union(*(changed_fields(entry.plan.out) for entry in entries))
    return {name: simulation.original(name) for name in changed}, {"control_timestep": simulation.control_timestep}


def _mean_returns(task: str, entries: list["Entry"]) -> dict[str, float]:
    """`return_QUALITY` of the episodes with the task's own body."""
    from datasets.frames import DEFAULT
    from pipeline.sim.recording import total_reward

    means = {}
    for quality in QUALITIES:
        paths = [e.plan.out for e in entries if e.facts.quality == quality and e.facts.variant == DEFAULT]
        if paths:
            means[f"return_{quality}"] = mean = sum(map(total_reward, paths)) / len(paths)
            log(f"{task}: {len(paths)} episodes of quality {quality}, mean return {mean:.0f}")
    return means


def _recorded(entries: list["Entry"]) -> Iterator[tuple["Episode", "EpisodeFacts"]]:
    from pipeline.sim.recording import read_episode

    for entry in entries:
        yield read_episode(entry.plan.out), entry.facts


def _learn(task: str, settings: Params, path: Path) -> "Learning":
    from pipeline.environments import make_env
    from pipeline.sim.behaviour import Learning, learn_sac
    from pipeline.sim.gym_replay import require_deterministic
    from pipeline.sim.recording import read_arrays, write_arrays
    from pipeline.sim.schedule import sac_seed

    if not path.exists():
        collect, make = settings.collect, make_env(settings, task, seen=False)
        if task in settings.environments:
            require_deterministic(make, f"environments.{task}")
        env = make()
        steps = collect.sac.steps
        learning = learn_sac(
            env, collect.sac, sac_seed(settings.seed), settings.compute.threads, lambda s: track(s, steps, "step", f"sac {task}")
        )
        write_arrays(path, learning.arrays())
    return Learning.from_arrays(read_arrays(path))


def _evaluate(schedule: "Schedule", pool: "Executor") -> dict[int, float]:
    """Mean return of each checkpoint, over the same few episodes."""
    from pipeline.sim.recording import total_reward

    plans = schedule.evaluation()
    _play([plan for of_steps in plans.values() for plan in of_steps], pool, f"evaluate {schedule.task}")
    return {steps: sum(total_reward(plan.out) for plan in of_steps) / len(of_steps) for steps, of_steps in plans.items()}


def _play(plans: list["Plan"], pool: "Executor", desc: str) -> None:
    """Play the episodes that are not there yet."""
    from pipeline.parallel import map_shards
    from pipeline.sim.plans import play

    missing = [plan for plan in plans if not plan.out.exists()]
    for _ in track(map_shards(play, missing, pool), len(plans), "episode", desc, initial=len(plans) - len(missing)):
        pass


if __name__ == "__main__":
    run(main)
