"""The online loop: its order of work, its accounting, resuming at every checkpoint, and what it says when it diverges."""

import itertools
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from datasets.embeddings import Embeddings
from datasets.errors import UserError
from datasets.windows import window_starts
from tests.synthetic import make_trajectories
from trainers.agent.behaviour import Behaviour, BehaviourConfig
from trainers.agent.dreamer import Curiosity, DreamerAgent
from trainers.agent.environments import Here
from trainers.agent.episodes import load_episodes
from trainers.agent.online import OnlineTrainer, Track
from trainers.agent.plan2explore import Disagreement
from trainers.agent.play import Player
from trainers.agent.progress import OnlineConfig, Progress
from trainers.agent.replay import Replay
from trainers.data import load_rows
from trainers.tdmpc2.agent import Learning, TdMpc2Agent
from trainers.tdmpc2.config import Config, Settings, Sizes
from trainers.tdmpc2.model import TDMPC2
from trainers.tdmpc2.planner import PlanSettings
from trainers.update import Split
from trainers.worldmodel import ModelConfig, WorldModel

LENGTH = 10  # agent steps of a whole episode


class Drift:
    """A point that drifts with the action; its reward is 1 per step. Seeds divisible by `ends_early` end after 4 steps."""

    action_low, action_high = -np.ones(1, np.float32), np.ones(1, np.float32)

    def __init__(self, ends_early: int = 0) -> None:
        self._ends_early, self.seeds, self.actions = ends_early, [], []

    def reset(self, *, seed: int | None = None) -> tuple[dict[str, Any], dict[str, Any]]:
        self.seeds.append(seed)
        self._t, self._x = 0, np.random.default_rng(seed).normal(size=5).astype(np.float32)
        return {"state": self._x.copy()}, {}

    def step(self, action: np.ndarray) -> tuple[dict[str, Any], float, bool, bool, dict[str, Any]]:
        self.actions.append(float(action[0]))
        self._t, self._x = self._t + 1, self._x + 0.1 * action[0]
        ended = bool(self._ends_early) and self.seeds[-1] % self._ends_early == 0 and self._t == 4
        return {"state": self._x.copy()}, 1.0, ended, self._t == LENGTH, {}


class Plain:
    shape = (5,)

    def __call__(self, observations: list[dict[str, Any]]) -> np.ndarray:
        return np.stack([o["state"] for o in observations])


class Killed(Exception):
    pass


def _dreamer(curious: bool = False) -> DreamerAgent:
    model = WorldModel(ModelConfig("vector", (5,), 1, deter=8, hidden=8, stoch=2, classes=4, blocks=2, units=8))
    learned = BehaviourConfig(3, 2, 0.9, 0.95, 1e-3, 1e-3, 100.0, units=8)
    behaviour = Behaviour(learned, model.feature_dim, -torch.ones(1), torch.ones(1))
    curiosity = Curiosity(1.0, Disagreement(3, model.feature_dim, 1, 8, units=8, layers=1)) if curious else None
    return DreamerAgent(model, behaviour, 1e-3, 100.0, curiosity, stored_latents=curious)


def _tdmpc2() -> TdMpc2Agent:
    model = TDMPC2(Config("vector", (5,), 1, Settings(Sizes(encoder=8, encoder_layers=2, latent=16, mlp=8, q=2), frames=2)))
    plan = PlanSettings(horizon=2, iterations=2, samples=16, elites=4, from_policy=4)
    return TdMpc2Agent(model, plan, Learning(1e-3, 20.0, seed=0))


AGENTS = {"dreamerv3": _dreamer, "curious": lambda: _dreamer(curious=True), "tdmpc2": _tdmpc2}


def _trainer(
    folder: Path, envs: list[Drift] | None = None, track: Track = lambda items, *_: items, algorithm: str = "dreamerv3",
    nothing: bool = False, **changes: Any
) -> OnlineTrainer:  # fmt: skip
    data = make_trajectories()
    rows = load_rows(data, Embeddings(data.observation, {"rows": [[0, len(data.reward)]]}), data.episodes(validation=False))
    torch.manual_seed(0)
    settings = {
        "offline_updates": 5, "env_steps": 60, "train_every": 8, "eval_every": 20, "eval_episodes": 3, "checkpoint_every": 2,
        "eval_looks": "never", "eval_look_episodes": 2, "seed": 0, "collects": True,
    }  # fmt: skip
    if nothing or algorithm == "tdmpc2":
        settings |= {"offline_updates": 0, "standardises": nothing}
    config = OnlineConfig(**settings | changes)
    starts = window_starts(data, 6)[: 0 if nothing else None]
    replay = Replay(rows, starts, 4, 6, 0.5 if config.collects else 1.0, 0, stacked=2 if algorithm == "tdmpc2" else 1)
    made = iter(envs or [Drift(), Drift()])
    agent = AGENTS[algorithm]()
    player = Player(Here(lambda: next(made), len(envs or "12")), Plain(), agent, Split())
    return OnlineTrainer(config, agent, replay, player, folder, "test", track, lambda _: None)


def _weights(trainer: OnlineTrainer) -> dict[str, torch.Tensor]:
    state = trainer.agent.weights()
    return {f"{part}.{name}": value for part in ("model", "behaviour") if part in state for name, value in state[part].items()}


def _same(a: OnlineTrainer, b: OnlineTrainer) -> bool:
    left, right = _weights(a), _weights(b)
    return left.keys() == right.keys() and all(torch.equal(left[name], right[name]) for name in left)


def test_steps_updates_and_evaluations_are_as_configured(tmp_path: Path):
    progress = _trainer(tmp_path).run()
    assert (progress.env_steps, progress.rounds, progress.updates) == (60, 3, 5 + 60 // 8)
    assert [(e.env_steps, e.updates) for e in progress.evaluations] == [(0, 5), (20, 7), (40, 10), (60, 12)]
    assert all(e.returns == [LENGTH] * 3 for e in progress.evaluations)
    assert progress.episodes == [(20 * (i // 2 + 1), float(LENGTH)) for i in range(6)]


def test_the_control_updates_as_often_and_never_acts_to_learn(tmp_path: Path):
    envs = [Drift(), Drift()]
    trainer = _trainer(tmp_path, envs, collects=False)
    progress = trainer.run()
    assert (progress.env_steps, progress.updates, trainer.replay.online_rows) == (0, 12, 0)
    assert [(e.env_steps, e.updates) for e in progress.evaluations] == [(0, 12)]
    assert sum(len(env.seeds) for env in envs) == 3  # the evaluation's


def test_both_arms_start_from_the_same_offline_policy(tmp_path: Path):
    arms = []
    for collects in (True, False):
        arms.append(_trainer(tmp_path / str(collects), collects=collects, env_steps=0))
        arms[-1].run()
    assert _same(*arms)


@pytest.mark.parametrize("algorithm", AGENTS)
def test_evaluations_share_their_seeds_and_leave_training_alone(tmp_path: Path, algorithm: str):
    envs = [Drift(), Drift()]
    often = _trainer(tmp_path / "often", envs, algorithm=algorithm)
    often.run()
    rarely = _trainer(tmp_path / "rarely", eval_every=1000, algorithm=algorithm)
    rarely.run()
    assert _same(often, rarely)
    seeds = [env.seeds for env in envs]
    assert seeds[0][:2] == seeds[0][3:5] and seeds[0][0] != seeds[0][2]  # evaluation (2 rounds), training, evaluation, ...
    assert len(set(seeds[0] + seeds[1])) == 3 + 6


@pytest.mark.parametrize("algorithm", AGENTS)
def test_evaluation_is_deterministic_and_exploration_is_not(tmp_path: Path, algorithm: str):
    env = Drift()
    player = _trainer(tmp_path, [env], algorithm=algorithm).player
    for explore in (False, True):
        runs = []
        for _ in range(2):
            env.actions = []
            assert list(player.play([3], explore)) == [1] * LENGTH
            runs.append(env.actions)
        assert (runs[0] == runs[1]) is not explore


def test_episodes_of_different_length_are_kept_whole(tmp_path: Path):
    envs = [Drift(ends_early=2), Drift(ends_early=2)]
    play = _trainer(tmp_path, envs).player.play([2, 3], explore=True)
    assert sum(play) == 4 + LENGTH
    short, whole = play.episodes
    assert (len(short.reward), len(whole.reward)) == (5, LENGTH + 1)
    assert short.is_terminal.tolist() == [False] * 4 + [True] and not whole.is_terminal.any()
    assert whole.is_first.tolist() == [True] + [False] * LENGTH
    assert (short.total, whole.total) == (4, LENGTH)
    moved = np.diff(whole.observation[:, 0])
    np.testing.assert_allclose(moved, 0.1 * whole.action[1:, 0], atol=1e-6)  # the action that led to each row


@pytest.mark.parametrize("algorithm", AGENTS)
@pytest.mark.parametrize("how", [{}, {"collects": False}, {"nothing": True}], ids=["online", "offline only", "from nothing"])
def test_a_run_interrupted_at_any_update_resumes_to_the_same_weights(tmp_path: Path, how: dict[str, Any], algorithm: str):
    how = how | {"algorithm": algorithm}
    reference = _trainer(tmp_path / "whole", **how)
    expected = reference.run()

    for count in range(0, expected.updates, 1 if how == {"algorithm": "dreamerv3"} else 3):

        def stop(items: Iterator[None], *_: Any, after: int = count) -> Iterator[None]:
            yield from itertools.islice(items, after)
            raise Killed

        folder = tmp_path / f"stopped-{count}"
        with pytest.raises(Killed):
            _trainer(folder, track=stop, **how).run()
        resumed = _trainer(folder, **how)
        assert resumed.run() == expected
        assert _same(resumed, reference)


@pytest.mark.parametrize("algorithm", AGENTS)
def test_from_nothing_updates_wait_for_whole_episodes_and_are_then_caught_up(tmp_path: Path, algorithm: str):
    trainer = _trainer(tmp_path, algorithm=algorithm, nothing=True)
    before = {name: value.clone() for name, value in _weights(trainer).items()}
    progress = trainer.run()
    assert (progress.env_steps, progress.updates) == (60, 60 // 8)
    assert [(e.env_steps, e.updates) for e in progress.evaluations] == [(0, 0), (20, 2), (40, 5), (60, 7)]
    assert any(not torch.equal(before[name], value) for name, value in _weights(trainer).items())
    mean = trainer.agent.weights()["model"]["encoder.mean" if algorithm == "tdmpc2" else "observation.mean"]
    first = [episode.observation for episode in load_episodes(tmp_path / "episodes-000000.npz")]
    torch.testing.assert_close(mean, torch.from_numpy(np.concatenate(first).mean(0)), rtol=1e-4, atol=1e-5)


def test_tdmpc2_has_no_behaviour_to_learn_apart_from_its_model(tmp_path: Path):
    trainer = _trainer(tmp_path, algorithm="tdmpc2", offline_updates=1)
    with pytest.raises(ValueError, match="policy with its model"):
        trainer.run()


def test_tdmpc2_stacks_its_last_rows_and_begins_again_with_an_episode():
    agent = _tdmpc2()
    memory = agent.begin(2, explore=False)
    led, seen = torch.zeros(2, 1), torch.randn(3, 2, 5)
    firsts = [torch.tensor([True, True]), torch.tensor([False, False]), torch.tensor([False, True])]
    for observation, first in zip(seen, firsts, strict=True):
        _, memory = agent.act(memory, observation, led, first, explore=False)
    assert torch.equal(memory.shown[0], torch.stack([seen[1, 0], seen[2, 0]]))
    assert torch.equal(memory.shown[1], torch.stack([seen[2, 1], seen[2, 1]]))


def test_progress_survives_being_plain(tmp_path: Path):
    progress = _trainer(tmp_path).run()
    assert Progress.from_plain(progress.to_plain()) == progress


@pytest.mark.parametrize(("part", "what"), [("actor", "the policy's action is not finite"), ("reward_head", "loss is nan")])
def test_divergence_names_the_last_good_checkpoint(tmp_path: Path, part: str, what: str):
    trainer = _trainer(tmp_path, offline_updates=0, env_steps=20)
    owner = trainer.agent.behaviour if part == "actor" else trainer.agent.model
    with torch.no_grad():
        next(getattr(owner, part).parameters()).fill_(float("nan"))
    with pytest.raises(UserError, match=what) as caught:
        trainer.run()
    message = str(caught.value)
    assert "\n" not in message and "learning_rate" in message
    assert ("no checkpoint was written" if part == "actor" else str(tmp_path / "checkpoint.pt")) in message
