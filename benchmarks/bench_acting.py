"""Environments in processes against environments in one; and acting against its bare parts.

cartpole_swingup, four environments, episodes of 250 agent steps. Processes, one per core, are timed on the wall: they gain
from cores that are free, and on a busy machine lose. Acting is the `Player`'s whole round with a small CNN at 64 pixels and the
default world model in the loop, in CPU time of one thread; its bare parts are the environments' steps, the encoder's network on
pixels ready for it, and world model and actor on tensors.
"""

import os
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from functools import partial
from typing import TYPE_CHECKING

from benchmarks import Row
from benchmarks.timing import paired_ratio

if TYPE_CHECKING:
    from trainers.agent.dreamer import DreamerAgent
    from trainers.protocols import Env, Environments

TASK = "cartpole_swingup"
ENVS, REPEAT, STEPS, PAIRS = 4, 4, 250, 9  # STEPS: agent steps of an episode
SIZE, DIM = 64, 256  # pixels; of the embedding
RSSM = {"deter": 128, "hidden": 128, "stoch": 16, "classes": 16, "blocks": 8, "units": 128}


def measure() -> Iterator[Row]:
    os.environ.setdefault("LP_NUM_THREADS", "0")  # as in finetune's processes: Mesa renders in the calling thread
    from pipeline.sim.env import TaskEnv, View

    for name, view in (("state", None), (str(SIZE), View(SIZE))):
        yield _processes_vs_here(name, partial(TaskEnv, TASK, REPEAT, REPEAT * STEPS, view))
    yield _acting_vs_bare()


def _processes_vs_here(name: str, make: Callable[[], "Env"]) -> Row:
    from pipeline.log import log
    from pipeline.parallel import worker_count
    from trainers.agent.environments import Here, Processes

    cores = worker_count(0)
    with closing(Here(make, ENVS)) as here, closing(Processes(make, ENVS, 60.0, log, cores)) as processes:
        rounds = partial(_round, here), partial(_round, processes)
        for play in rounds:
            play()
        ratio, alone, spread = paired_ratio(*rounds, PAIRS, clock=time.perf_counter)
    steps = ENVS * STEPS
    detail = (
        f"{steps / spread:.0f} environment steps/s in {min(cores, ENVS)} processes, {steps / alone:.0f}/s here; {PAIRS} pairs"
    )
    return {"id": f"env_processes_{name}_vs_here", "ratio": ratio, "detail": detail}


def _round(envs: "Environments") -> None:
    """An episode in each."""
    import numpy as np

    rng = np.random.default_rng(0)
    envs.reset(range(ENVS))
    for _ in range(STEPS):
        envs.step(range(ENVS), rng.uniform(-1, 1, (ENVS, 1)).astype(np.float32))


def _acting_vs_bare() -> Row:
    import torch

    from pipeline.encoders import load_encoder
    from pipeline.observe import ObservationEncoder
    from pipeline.sim.env import TaskEnv, View
    from trainers.agent.environments import Here
    from trainers.agent.play import Player
    from trainers.update import Split

    torch.set_num_threads(1)
    torch.manual_seed(0)
    encoder, agent = load_encoder("random_cnn"), make_agent()
    observe = ObservationEncoder("image", (DIM,), "float16", lambda frames: encoder.embed(frames).cpu().numpy())
    make = partial(TaskEnv, TASK, REPEAT, REPEAT * STEPS, View(SIZE))
    with closing(Here(make, ENVS)) as envs:
        player = Player(envs, observe, agent, Split())

        def acting() -> None:
            for _ in player.play(range(ENVS), explore=True):
                pass

        pixels = torch.rand(ENVS, 3, encoder.size, encoder.size)
        bare = _bare(lambda: encoder.embed_pixels(pixels), agent, [make() for _ in range(ENVS)])
        for play in (acting, bare):
            play()
        ratio, ours, theirs = paired_ratio(acting, bare, PAIRS)
    per_step = 1e3 / STEPS
    detail = (
        f"{ours * per_step:.2f} ms a step of {ENVS} environments at {SIZE} px, encoder and policy in the loop; its parts alone "
        f"{theirs * per_step:.2f} ms; CPU time, 1 thread, {PAIRS} pairs of {STEPS} steps"
    )
    return {"id": "acting_vs_bare", "ratio": ratio, "detail": detail}


def make_agent() -> "DreamerAgent":
    """Of the default preset's sizes, with new weights."""
    import torch

    from trainers.agent.behaviour import Behaviour, BehaviourConfig
    from trainers.agent.dreamer import DreamerAgent
    from trainers.worldmodel import ModelConfig, WorldModel

    config = {"kind": "vector", "observation_shape": [DIM], "action_dim": 1, "loss": {}, **RSSM}
    model = WorldModel(ModelConfig.from_json(config)).eval()
    learned = BehaviourConfig(15, 8, 0.98, 0.95, 3e-3, 6e-4, 100.0, RSSM["units"])
    behaviour = Behaviour(learned, model.feature_dim, -torch.ones(1), torch.ones(1))
    return DreamerAgent(model, behaviour, 6e-4, 100.0)


def _bare(embed: Callable[[], object], agent: "DreamerAgent", envs: "list[Env]") -> Callable[[], None]:
    """An episode in each environment, as often through the encoder's network, and through world model and actor."""
    import numpy as np
    import torch

    actions = np.random.default_rng(0).uniform(-1, 1, (STEPS, ENVS, 1)).astype(np.float32)
    observation, led, is_first = torch.randn(ENVS, DIM), torch.zeros(ENVS, 1), torch.zeros(ENVS, dtype=torch.bool)

    def run() -> None:
        memory = agent.begin(ENVS, True)
        for env in envs:
            env.reset(seed=0)
        for action in actions:
            embed()
            _, memory = agent.act(memory, observation, led, is_first, True)
            for env, own in zip(envs, action, strict=True):
                env.step(own)

    return run
