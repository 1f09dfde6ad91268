"""Environments in processes give what environments in this one give, whatever happens to the processes."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing
from functools import partial
from pathlib import Path

import numpy as np
import psutil
import pytest

from datasets.errors import UserError
from pipeline.sim.env import TaskEnv, View
from tests.synthetic import ROOT
from tests.trainers.faulty import Counter, Faulty, Fickle, ends, unmakeable
from trainers.agent.environments import Here, Processes
from trainers.protocols import Env, Environments, Observation, Step

SHORT, LONG = 1.0, 60.0  # seconds; a step of these environments takes none
Played = list[list[Step]]  # per environment: its reset and its steps


def play(envs: Environments, seeds: Sequence[int], between: Callable[[int], None] = lambda _: None) -> Played:
    """Random actions to the end of every episode; `between` is called with the number of each step, before it."""
    rng = np.random.default_rng(0)
    played = [[Step(seen, 0.0, False, False)] for seen in envs.reset(seeds)]
    going, number = list(range(len(seeds))), 0
    while going:
        number += 1
        between(number)
        actions = rng.uniform(envs.action_low, envs.action_high, (len(seeds), len(envs.action_low))).astype(np.float32)
        for i, step in zip(going, envs.step(going, actions[going]), strict=True):
            played[i].append(step)
        going = [i for i in going if not (played[i][-1].terminated or played[i][-1].truncated)]
    return played


def same(a: Played, b: Played) -> bool:
    """Bit for bit."""
    return [[bits(step) for step in episode] for episode in a] == [[bits(step) for step in episode] for episode in b]


def bits(step: Step) -> tuple[object, ...]:
    return *step[1:], {key: (value.dtype, value.shape, value.tobytes()) for key, value in step.observation.items()}


def here(make: Callable[[], Env], seeds: Sequence[int]) -> Played:
    with closing(Here(make, len(seeds))) as envs:
        return play(envs, seeds)


def children() -> list[psutil.Process]:
    """The processes of environments, in the order they were started."""
    found = [p for p in psutil.Process().children() if "spawn_main" in " ".join(p.cmdline())]
    return sorted(found, key=lambda process: process.pid)


class Log(list[str]):
    def __call__(self, line: str) -> None:
        self.append(line)


@pytest.fixture
def log() -> Iterator[Log]:
    """What was noted; and no process is left behind."""
    before = children()
    yield Log()
    assert children() == before


TASKS = [partial(TaskEnv, "cartpole_swingup", 4, 80), partial(TaskEnv, "reacher_easy", 4, 80, View(32))]


@pytest.mark.parametrize(("make", "processes"), [(TASKS[0], 2), (TASKS[1], None)], ids=["physics", "rendered"])
def test_in_processes_or_here_a_task_is_the_same_bit_for_bit(make: Callable[[], TaskEnv], processes: int | None, log: Log):
    with closing(Processes(make, 3, LONG, log, processes)) as envs:
        assert len(envs) == 3
        assert same(play(envs, [3, 4, 5]), here(make, [3, 4, 5]))
        assert same(play(envs, [6, 7]), here(make, [6, 7]))  # fewer, and again
        assert (envs.restarts, log) == (0, [])


def test_episodes_end_each_at_its_own_step(log: Log):
    with closing(Processes(Counter, 3, LONG, log, 2)) as envs:
        played = play(envs, [0, 1, 2])
        assert [len(episode) - 1 for episode in played] == [8, 5, 8]
        assert same(played, here(Counter, [0, 1, 2]))
        with pytest.raises(ValueError, match="environment 1 has no episode"):
            envs.step([1], np.zeros((1, 1), np.float32))
        with pytest.raises(ValueError, match="4 seeds for 3"):
            envs.reset([0, 1, 2, 3])


@pytest.mark.parametrize("make", TASKS, ids=["physics", "rendered"])
def test_a_killed_process_comes_back_to_the_same_episode(make: Callable[[], TaskEnv], log: Log):
    def kill(number: int) -> None:
        if number == 7:
            children()[-1].kill()

    with closing(Processes(make, 2, LONG, log)) as envs:
        assert same(play(envs, [3, 4], kill), here(make, [3, 4]))
        assert envs.restarts == 1
    assert log == ["environment 1 crashed at step 7 of the episode of seed 4: its process is started again"]


def test_one_killed_between_episodes_begins_the_next(log: Log):
    with closing(Processes(Counter, 2, LONG, log)) as envs:
        play(envs, [0, 2])
        children()[0].kill()
        assert same(play(envs, [4, 6]), here(Counter, [4, 6]))
    assert log == ["environment 0 crashed at the reset of the episode of seed 4: its process is started again"]


def test_a_process_that_is_stopped_is_replaced(log: Log):
    def stop(number: int) -> None:
        if number == 5:
            children()[0].suspend()

    with closing(Processes(TASKS[1], 2, 3 * SHORT, log)) as envs:
        assert same(play(envs, [3, 4], stop), here(TASKS[1], [3, 4]))
        assert envs.restarts == 1
    assert log == ["environment 0 hung at step 5 of the episode of seed 3: its process is started again"]


@pytest.mark.parametrize(("how", "said", "timeout"), [("kill", "crashed", LONG), ("hang", "hung", SHORT)])
@pytest.mark.parametrize("at", [0, 6])
@pytest.mark.parametrize("processes", [1, 3])
def test_one_that_fails_once_within_a_step_is_asked_again(
    how: str, said: str, timeout: float, at: int, processes: int, tmp_path: Path, log: Log
):
    make = partial(Faulty, how, at, tmp_path / "once")
    with closing(Processes(make, 3, timeout, log, processes)) as envs:
        assert same(play(envs, [1, 2, 4]), here(Counter, [1, 2, 4]))  # with its neighbours in the process, one of them ended
        assert envs.restarts == 1
    place = f"step {at}" if at else "the reset"
    assert log == [f"environment 1 {said} at {place} of the episode of seed 2: its process is started again"]


@pytest.mark.parametrize(
    ("how", "timeout", "words"),
    [("kill", LONG, "crashed 3 times at step 4 of the episode of seed 2"), ("hang", SHORT, "raise compute.env_timeout_s")],
)
def test_one_that_always_fails_at_a_step_is_one_line(how: str, timeout: float, words: str, log: Log):
    with closing(Processes(partial(Faulty, how, 4), 2, timeout, log)) as envs:
        with pytest.raises(UserError, match=f"^environment 1 .*{words}") as caught:
            play(envs, [0, 2])
        assert "\n" not in str(caught.value)
        assert (envs.restarts, len(log)) == (2, 2)


def test_an_exception_in_an_environment_keeps_its_message_and_traceback(log: Log):
    with closing(Processes(partial(Faulty, "raise", 4), 2, LONG, log)) as envs:
        with pytest.raises(RuntimeError, match=r"^environment 1: ZeroDivisionError: the pole left the cart") as caught:
            play(envs, [0, 2])
        assert "faulty.py" in caught.value.__notes__[0]
        assert same(play(envs, [0, 3]), here(Counter, [0, 3]))  # no answer was left in the pipes
        assert envs.restarts == 0


def test_an_error_for_the_user_stays_one(log: Log):
    with (
        closing(Processes(partial(Faulty, "refuse", 0), 2, LONG, log)) as envs,
        pytest.raises(UserError, match=r"^environment 1: the pole is missing: install a pole"),
    ):
        envs.reset([0, 2])


@pytest.mark.parametrize(
    ("make", "words"),
    [(unmakeable, "environment 0: no pole here"), (ends, "process of environment 0 crashed before the environment was made")],
)
def test_an_environment_that_cannot_be_made_is_one_line(make: Callable[[], Env], words: str, log: Log):
    with pytest.raises(UserError, match=words):
        Processes(make, 2, LONG, log)


@pytest.mark.parametrize(("processes", "lengths"), [(2, [5, 9]), (1, [5, 5])])
def test_one_that_is_not_deterministic_ends_its_episode_where_it_was(processes: int, lengths: list[int], log: Log):
    def kill(number: int) -> None:
        if number == 4:
            children()[0].kill()

    with closing(Processes(Fickle, 2, LONG, log, processes)) as envs:
        first, second = play(envs, [0, 2], kill)
        assert [len(first), len(second)] == lengths
        assert first[-1][1:] == (0.0, False, True)
        assert bits(first[-1])[-1] == bits(first[-2])[-1]  # the last observation that was seen
        assert [len(episode) for episode in play(envs, [4, 6])] == [9, 9]
    assert log[1] == "environment 0 is not deterministic, its replay differs: the episode ends at step 3"


PARENT = """
import sys, time
import numpy as np
from tests.trainers.faulty import Counter, Faulty
from trainers.agent.environments import Processes
from functools import partial
if __name__ == "__main__":
    envs = Processes(partial(Faulty, sys.argv[1], 1), 2, 600, print)
    envs.reset([0, 2])
    print("ready", flush=True)
    envs.step([0, 1], np.zeros((2, 1), np.float32))
    time.sleep(600)
"""


@pytest.mark.skipif(sys.platform != "linux", reason="the kernel's parent-death signal is Linux's")
@pytest.mark.parametrize("doing", ["hang", "nothing"])
def test_processes_die_with_a_killed_parent_and_leave_ctrl_c_to_it(doing: str, tmp_path: Path):
    script = tmp_path / "parent.py"
    script.write_text(PARENT)
    environment = os.environ | {"PYTHONPATH": str(ROOT)}
    with subprocess.Popen([sys.executable, str(script), doing], env=environment, stdout=subprocess.PIPE, text=True) as parent:
        assert parent.stdout is not None and parent.stdout.readline() == "ready\n"
        started = psutil.Process(parent.pid).children()
        assert len(started) == 3  # two, and a tracker
        for process in started:
            process.send_signal(signal.SIGINT)
        time.sleep(0.2)
        assert all(process.is_running() for process in started)
        parent.kill()
    _, alive = psutil.wait_procs(started, timeout=20)
    assert not alive


def test_observations_are_the_callers_own(log: Log):
    """Here too: what was seen before does not change under one's hands."""
    for envs in (Here(Counter, 1), Processes(Counter, 1, LONG, log)):
        seen: list[Observation] = envs.reset([0])
        before = seen[0]["state"].copy()
        envs.step([0], np.ones((1, 1), np.float32))
        assert np.array_equal(seen[0]["state"], before)
        envs.close()
