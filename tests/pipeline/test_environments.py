"""A study of an environment of the user's own, no dm_control task: every stage on the one that docs/environments.md shows."""

import json
import pickle
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest
import zarr

from datasets.errors import DataError, UserError
from datasets.frames import load_frames_index, read_frame_shard
from datasets.manifest import write_manifest
from datasets.trajectories import FILE, load_trajectories, save_trajectories
from pipeline import collect, encode, evaluate, plan, pretrain, probe, render, replay, train, validate
from pipeline.environments import make_env
from pipeline.params import load_params
from pipeline.sim.env import TaskEnv
from pipeline.sim.gym_env import GymEnv
from pipeline.sim.gym_replay import PlayJob, play_shard
from pipeline.sim.source import Source
from tests.own_environments import write_environment
from tests.study import tiny
from tests.synthetic import ROOT, go_into, make_trajectories, write_params

TASK, REPEAT, STEPS, SIZE = "point", 2, 24, 32
TRAJECTORIES, FRAMES = Path("data/trajectories") / TASK, Path("data/frames") / TASK
POINT = (ROOT / "pipeline" / "own" / "point.py").read_text()


def settings(values: dict[str, Any], make: str = "pipeline/own/point.py:Point", tasks: tuple[str, ...] = (TASK,)) -> None:
    tiny(values)
    values.update(tasks=list(tasks), environments={TASK: {"make": make}})
    values["compute"]["workers"] = 1
    values["collect"].update(action_repeat=REPEAT, episode_steps=STEPS)
    values["collect"]["sac"].update(steps=120, learning_starts=40, checkpoint_every=60)
    values["render"].update(size=SIZE, axes=["texture"])
    values["render"]["train_looks"].update(axes=[])
    values["pretrain"]["autoencoder"].update(updates=3)
    values["train"].update(updates=5, look_weights=None)


def write_study(root: Path, **changes: Any) -> None:
    (root / "pipeline" / "own").mkdir(parents=True, exist_ok=True)
    (root / "pipeline" / "own" / "point.py").write_text(POINT)
    write_params(root, lambda values: settings(values, **changes))


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The study, with `validate`, `collect` and `render` done."""
    root = tmp_path_factory.mktemp("study")
    write_study(root)
    with pytest.MonkeyPatch.context() as patch:
        go_into(root, patch)
        validate.main()
        collect.main(TASK)
        render.main(TASK)
    return root


@pytest.fixture
def inside(project: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    return go_into(project, monkeypatch)


def test_episodes_of_every_quality_are_recorded_with_their_seeds(inside):
    data = load_trajectories(TRAJECTORIES)
    assert sorted(set(data.quality)) == ["expert", "medium", "random", "replay"] and len(data.quality) == 12
    assert (data.seed >= 0).all() and data.validation.sum() == 4 and set(data.variant) == {"default"}
    assert data.physics.shape[1] == 0 and data.observation.shape[1] == 2 and data.action.shape[1] == 2
    assert (np.diff(data.episode_ends, prepend=0) == STEPS // REPEAT + 1).all()
    env = make_env(load_params(), TASK, seen=True)()
    for episode, shard in ((0, 0), (11, -1)):
        rows = data.rows_of(episode)
        observation, _ = env.reset(seed=int(data.seed[episode]))
        frames = [observation["image"]]
        for t in range(rows.start + 1, rows.stop):
            observation, reward, *_ = env.step(data.action[t])
            assert np.float32(reward) == data.reward[t]
            np.testing.assert_array_equal(observation["state"], data.observation[t])
            frames.append(observation["image"])
        tar = load_frames_index(FRAMES).of("default").shards[shard]
        stored = [frame for e, _, frame in read_frame_shard(FRAMES / tar.file) if e == episode]
        np.testing.assert_array_equal(stored, frames)


def test_there_is_one_look_and_it_says_who_drew_it(inside):
    index = load_frames_index(FRAMES)
    assert (index.task, index.size, index.camera, index.quality) == (TASK, SIZE, "render", "own")
    assert [frames.look.variant for frames in index.sets] == ["default"]
    assert pl.read_parquet(FRAMES / "look_statistics.parquet").is_empty()


def test_every_stage_after_them_works(inside):
    for encoder in ("state", "scratch", "autoencoder"):
        pretrain.main(encoder, TASK)
        encode.main(encoder, TASK)
        probe.main(encoder, TASK)
        train.main(encoder, TASK, "dreamerv3")
        evaluate.main(encoder, TASK, "dreamerv3")
        table = pl.read_parquet(f"results/parts/{encoder}/{TASK}/dreamerv3/reward_error.parquet")
        assert set(table["axis"]) == {"default"} and set(table["quality"]) == {"random", "medium", "replay", "expert"}
        assert not table["reward_pred"].is_nan().any()
    stored = np.asarray(zarr.open_group(f"data/embeddings/{TASK}/state/default.zarr", mode="r")["embedding"][:])
    np.testing.assert_array_equal(stored, load_trajectories(TRAJECTORIES).observation)


def test_every_episode_replays(inside, capsys):
    replay.main(TASK)
    assert "12 of 12 episodes the same to the bit: 156 steps, 156 frames" in capsys.readouterr().err


def test_an_agent_is_handed_it_through_a_pickle_and_a_suite_task_as_before(inside):
    p = load_params()
    env = pickle.loads(pickle.dumps(make_env(p, TASK, seen=False)))()
    assert isinstance(env, GymEnv) and set(env.reset(seed=0)[0]) == {"state"}
    suite = pickle.loads(pickle.dumps(make_env(p, "cartpole_swingup", seen=False)))()
    assert isinstance(suite, TaskEnv) and suite.reset(seed=0)[0]["state"].shape == (5,)


def test_the_plan_counts_its_frames(inside, capsys):
    plan.main()
    assert "1 tasks, each 156 steps in the trajectory file and 156 frames under the default look" in capsys.readouterr().out


def test_only_its_own_note_changes_with_its_file(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    write_study(tmp_path, tasks=(TASK, "cartpole_swingup"))
    validate.main()
    notes = {task: Path(f"data/environments/{task}.json").read_text() for task in (TASK, "cartpole_swingup")}
    assert json.loads(notes["cartpole_swingup"]) == {"environment": None}
    (tmp_path / "pipeline" / "own" / "point.py").write_text(POINT.replace("-4 *", "-3 *"))
    validate.main()
    assert Path("data/environments/cartpole_swingup.json").read_text() == notes["cartpole_swingup"]
    assert Path(f"data/environments/{TASK}.json").read_text() != notes[TASK]


def test_a_file_that_changed_since_is_refused(inside):
    file = inside / "pipeline" / "own" / "point.py"
    file.write_text(POINT.replace("-4 *", "-3 *"))
    try:
        with pytest.raises(DataError, match=r"environments\.point changed since .* was collected; run collect again"):
            render.main(TASK)
    finally:
        file.write_text(POINT)


def test_collect_refuses_an_environment_that_its_seed_does_not_fix(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    step = "def step(self, action):\n    self.x += np.random.default_rng().normal()\n    return super().step(action)"
    write_environment(tmp_path / "mine.py", step)
    write_study(tmp_path, make="mine.py:Env")
    with pytest.raises(UserError, match=r"environments\.point: .*not deterministic given its seed and actions") as error:
        collect.main(TASK)
    assert "\n" not in str(error.value)


def test_collect_refuses_one_that_remembers_earlier_episodes(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    body = """
resets = 0
def reset(self, *, seed=None, options=None):
    self.resets += 1
    super().reset(seed=seed)
    self.x += self.resets
    return self.seen(), {}
"""
    write_environment(tmp_path / "mine.py", body)
    write_study(tmp_path, make="mine.py:Env")
    with pytest.raises(UserError, match="not deterministic"):
        collect.main(TASK)


@pytest.mark.parametrize("changed", ["observation", "reward", "end"])
def test_render_refuses_an_episode_that_comes_out_otherwise(tmp_path, changed):
    source = Source(TASK, f"{write_environment(tmp_path / 'mine.py', 'ends = 6')}:Env")
    env, data = GymEnv(source, 1, 20), make_trajectories(1, 7, 0, 2)
    env.reset(seed=0)
    data.observation[0] = env.reset(seed=0)[0]["state"]
    for t in range(1, 7):
        observation, data.reward[t], *_ = env.step(data.action[t])
        data.observation[t] = observation["state"]
    data.is_terminal[-1] = changed != "end"
    data.meta.update(action_repeat=1, episode_steps=20)
    job = PlayJob(tmp_path / "data", source, 32, (0,), tmp_path / "out.tar")
    for now in ("as it was", changed):
        if now == changed and now != "end":
            getattr(data, now)[4] += 1
        folder = tmp_path / now
        folder.mkdir()
        save_trajectories(data, folder / FILE)
        write_manifest(folder, {"stage": "collect"})
        job = PlayJob(folder, source, 32, (0,), folder / "out.tar")
        if now == changed or changed == "end":
            with pytest.raises(UserError, match=r"environments\.\w+: episode 0, step \d: .*not deterministic"):
                play_shard(job)
            assert not job.out.exists()
        else:
            play_shard(job)
            assert len(list(read_frame_shard(job.out))) == 7


@pytest.mark.parametrize(
    ("make", "message"),
    [
        ("pipeline/own/pont.py:Point", r"pipeline/own/pont\.py is missing"),
        ("pipeline/own/point.py:Pont", "has no function or class 'Pont'"),
        ("Pendulm-v1", "cannot be made: NameNotFound"),
        ("blind.py:Env", r"render\(\) gave NoneType, uint8 \[H, W, 3\] expected"),
        ("free.py:Env", "is not bounded"),
    ],
)
def test_validate_tries_it(tmp_path, monkeypatch, make, message):
    monkeypatch.chdir(tmp_path)
    write_environment(tmp_path / "blind.py", "def render(self):\n    return None")
    write_environment(tmp_path / "free.py", "action_space = Box(-np.inf, np.inf, (1,))")
    write_study(tmp_path, make=make)
    with pytest.raises(UserError, match=rf"environments\.point.*{message}"):
        validate.main()
    assert not Path("data/valid.json").exists()


@pytest.mark.parametrize(
    ("returns", "expected"),
    [
        ({1: 10.0, 2: 100.0, 3: 40.0}, (2, 3)),  # as dm_control's: half of the best
        ({1: -1000.0, 2: -200.0, 3: -550.0}, (2, 3)),
        ({1: -100.0, 2: 80.0, 3: 10.0}, (2, 3)),
    ],
)
def test_medium_is_half_way_to_expert_where_returns_are_negative_too(returns, expected):
    assert collect.expert_and_medium(returns) == expected


def test_the_docs_show_the_environment_that_is_tested(params_file: Callable[..., Path]):
    text = (ROOT / "docs" / "environments.md").read_text()
    shown = re.search(r"```python\n(.*?)```", text, re.S)
    assert shown is not None and POINT.endswith(shown[1])
    assert "point: {make: pipeline/own/point.py:Point, kwargs: {}}" in text
    entry = {"make": "pipeline/own/point.py:Point", "kwargs": {}}
    assert load_params(params_file({"tasks": ["point"], "environments": {"point": entry}})).source_of("point") is not None
