"""One run of online learning, as `finetune` has a process do: put together agent, data and environments, and run the loop."""

from contextlib import closing
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from datasets.errors import UserError
from pipeline import training
from pipeline.environments import CODE as ENVIRONMENT
from pipeline.log import log, track
from pipeline.params import Params, canonical

if TYPE_CHECKING:
    from datasets.episodes import Trajectories
    from datasets.frames import Look
    from pipeline.observe import ObservationEncoder
    from trainers.agent.agent import Agent
    from trainers.agent.play import Player
    from trainers.data import Held, Rows
    from trainers.models import Model
    from trainers.protocols import Environments

AGENT = (
    "__init__", "actor", "agent", "behaviour", "critic", "dreamer", "environment_process", "environment_worker", "environments",
    "episodes", "imagination", "latents", "normaliser", "online", "plan2explore", "play", "progress", "replay", "returns",
    "stopwatch",
)  # fmt: skip
CODE = (
    *(f"pipeline/{name}.py" for name in ("finetune", "acting", "looks", "observe", "encoders/area", "sim/env", "sim/tasks")),
    *(f"trainers/agent/{name}.py" for name in AGENT),
    *(f"trainers/tdmpc2/{name}.py" for name in ("agent", "planner")), "datasets/film.py", *training.CODE, *ENVIRONMENT,
)  # fmt: skip
LEARNS_ONLINE = ("dreamerv3", "tdmpc2")  # algorithms with an agent
ONLINE, OFFLINE_ONLY, FROM_NOTHING = "online", "offline_only", "from_nothing"  # the arms


@dataclass(frozen=True)
class Arm:
    """One run of the loop, as its process is told; its outcome is `folder/outcome.pt`.

    Attributes:
        name: `online` from the offline model and with its data; `offline_only`, as many updates on that data alone;
            `from_nothing`, neither.
        seed: of `train.seeds`.
    """

    name: str
    params: Params
    encoder: str
    task: str
    algorithm: str
    seed: int
    folder: Path

    @property
    def outcome(self) -> Path:
        return self.folder / "outcome.pt"

    @property
    def models(self) -> Path:
        """Where its offline model lies."""
        return Path("models") / self.task / self.encoder / self.algorithm

    @property
    def identity(self) -> dict[str, str | int]:
        """What a checkpoint says of it."""
        return {"encoder": canonical(self.encoder), "task": self.task, "algorithm": self.algorithm, "seed": self.seed}


def run_arm(arm: Arm) -> None:
    """Run one arm to its end; `outcome.pt` is written last, so that it marks a finished arm."""
    import torch

    from datasets.embeddings import load_embeddings
    from datasets.frames import DEFAULT
    from datasets.trajectories import load_trajectories
    from pipeline.looks import looks_of
    from pipeline.observe import open_observation_encoder
    from trainers.agent.online import OnlineTrainer
    from trainers.agent.play import Player
    from trainers.agent.progress import OnlineConfig
    from trainers.arithmetic import set_arithmetic
    from trainers.checkpoint import save_torch
    from trainers.data import load_rows
    from trainers.update import Split

    p, f = arm.params, arm.params.finetune
    set_arithmetic(p.compute.threads, p.train.precision)
    data = load_trajectories(Path("data/trajectories") / arm.task)
    embeddings = load_embeddings(Path("data/embeddings") / arm.task / arm.encoder, DEFAULT)
    folder = training.frames_of(arm.encoder, arm.task, p.train.of(arm.algorithm).loop)
    frames = None if folder is None else load_embeddings(folder, DEFAULT)
    rows = load_rows(data, embeddings, data.episodes(validation=False), p.compute.device, frames)
    encoder = open_observation_encoder(p, arm.encoder, arm.task, tuple(rows.observation.shape[1:]), str(embeddings.values.dtype))
    with closing(_environments(p, arm.task, f.envs, encoder.needs_image or frames is not None)) as envs:
        torch.manual_seed(arm.seed)
        agent = _agent(arm, rows, frames, (envs.action_low, envs.action_high))
        replay = _replay(arm, data, rows)
        own = f.learning(arm.algorithm)
        config = OnlineConfig(
            own.offline_updates if arm.name != FROM_NOTHING else 0, f.env_steps, own.train_every, f.eval_every, f.eval_episodes,
            p.train.checkpoint_every, f.eval_looks, f.eval_look_episodes, arm.seed, collects=arm.name != OFFLINE_ONLY,
            standardises=arm.name == FROM_NOTHING,
        )  # fmt: skip
        player = Player(envs, encoder, agent, Split(waits=p.compute.device != "cpu"))
        name = f"finetune {arm.algorithm} {arm.encoder} {arm.name} seed {arm.seed}"
        looks = {
            look.variant: partial(_player, p, arm.task, look, encoder, agent)
            for look in looks_of(p, arm.task)
            if look.axis == DEFAULT or encoder.needs_image or not look.paired
        }
        progress = OnlineTrainer(config, agent, replay, player, arm.folder, name, track, log, looks).run()
    meta = arm.identity | {"arm": arm.name}
    save_torch(arm.outcome, {"progress": progress.to_plain(), "agent": agent.weights() | {"meta": meta}})


def _player(p: Params, task: str, look: "Look", encoder: "ObservationEncoder", agent: "Agent") -> "Player":
    """Plays under a look that is rendered whether the encoder looks or not."""
    from trainers.agent.play import Player
    from trainers.update import Split

    return Player(_environments(p, task, p.finetune.eval_look_episodes, True, look), encoder, agent, Split())


def _environments(p: Params, task: str, count: int, seen: bool, look: "Look | None" = None) -> "Environments":
    """Here or in processes; `seen` where they render."""
    from pipeline.environments import make_env
    from trainers.agent.environments import Here, Processes

    make, compute = make_env(p, task, seen, look), p.compute
    if compute.env_processes == 0:
        return Here(make, count)
    return Processes(make, count, compute.env_timeout_s, log, compute.env_processes)


def _replay(arm: Arm, data: "Trajectories", rows: "Rows") -> Any:
    """Over the collected rows, or none of them."""
    from datasets.windows import window_starts
    from trainers.agent.replay import Replay
    from trainers.data import Rows
    from trainers.worldmodel.types import each

    f, loop = arm.params.finetune, arm.params.train.of(arm.algorithm).loop
    own, stacked = f.learning(arm.algorithm), loop.stacked
    length = own.length or loop.length
    starts = window_starts(data, length)
    fraction = {ONLINE: f.offline_fraction, OFFLINE_ONLY: 1.0, FROM_NOTHING: 0.0}[arm.name]
    if arm.name == FROM_NOTHING:
        rows, starts = Rows._make(each(lambda values: values[:0], rows)), starts[:0]
    return Replay(rows, starts, own.batch, length, fraction, arm.seed, stacked)


def _agent(arm: Arm, rows: "Rows", frames: "Held | None", bounds: "tuple[Any, Any]") -> "Agent":
    """What acts and learns: around the offline model, or a new one.

    Raises:
        UserError: the model is of another decoder, or the algorithm cannot act in this task.
    """
    import torch

    from trainers.tdmpc2.model import TDMPC2
    from trainers.worldmodel import WorldModel

    p, f = arm.params, arm.params.finetune
    model = _model(arm, rows)
    if isinstance(model, TDMPC2):
        from trainers.tdmpc2.agent import Learning, TdMpc2Agent
        from trainers.tdmpc2.planner import PlanSettings

        low, high = bounds
        if not ((low == -1).all() and (high == 1).all()):
            raise UserError(f"{arm.task}: TD-MPC2 plans actions within [-1, 1], the task's are within {low} and {high}")
        own = f.tdmpc2
        return TdMpc2Agent(
            model, PlanSettings(**own.plan.model_dump()), Learning(own.learning_rate, p.train.tdmpc2.clip, arm.seed)
        )
    if not isinstance(model, WorldModel):
        raise TypeError(f"{arm.algorithm} has no agent")
    if model.config.needs_frames != (frames is not None):
        raise UserError(
            f"{arm.models} was trained with decoder: {model.config.decoder}, train.decoder is {p.train.decoder}: train again"
        )
    from trainers.agent.behaviour import Behaviour, BehaviourConfig
    from trainers.agent.dreamer import Curiosity, DreamerAgent
    from trainers.agent.plan2explore import Disagreement

    learned = BehaviourConfig(
        f.imagine, f.imagine_last, f.discount, f.lambda_, f.entropy, f.learning_rate, p.train.clip, p.train.rssm.units
    )
    behaviour = Behaviour(learned, model.feature_dim, *map(torch.from_numpy, bounds)).to(p.compute.device)
    curiosity = None
    if f.plan2explore.weight:
        sizes = (model.feature_dim, model.config.action_dim, model.config.stoch * model.config.classes)
        ensemble = Disagreement(f.plan2explore.members, *sizes, learned.units, learned.layers).to(p.compute.device)
        curiosity = Curiosity(f.plan2explore.weight, ensemble)
    return DreamerAgent(model, behaviour, f.world_model_learning_rate, p.train.clip, curiosity, f.stored_latents)


def _model(arm: Arm, rows: "Rows") -> "Model":
    """The offline model, or one as it begins."""
    import torch

    from datasets.manifest import verify
    from trainers.algorithms import algorithm
    from trainers.checkpoint import load_world_model

    device = arm.params.compute.device
    if arm.name != FROM_NOTHING:
        verify(arm.models)
        return load_world_model(arm.models / f"seed-{arm.seed}" / training.MODEL, device, **arm.identity).model
    kind, observation = algorithm(arm.algorithm), rows.observation
    config = kind.configure(tuple(observation.shape[1:]), observation.dtype, rows.action.shape[1], arm.params.train.sizes)
    with torch.device(device):
        return kind.build(config).eval()
