"""Some environments in one process, which is started again and brought back to where it was when it crashes or hangs."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import numpy as np

from datasets.errors import UserError
from trainers.agent.environment_worker import Bounds, Command, Failure, Lost, Worker
from trainers.protocols import Env, Step

TRIES = 3  # of one step, before it is the environment's own fault


@dataclass
class _Episode:
    """What was asked of an environment since its reset, and enough of the answers to know them again.

    Attributes:
        commands: the seed, and the actions since.
        rewards: of the commands that were answered.
        last: the latest answer.
        differs: it was replayed, and came out differently.
    """

    commands: list[Command]
    rewards: list[float] = field(default_factory=list)
    last: Step | None = None
    differs: bool = False

    @property
    def place(self) -> str:
        """Of the latest command, in words."""
        step = len(self.commands) - 1
        return f"{f'step {step}' if step else 'the reset'} of the episode of seed {self.commands[0]}"

    def keep(self, answer: Step) -> None:
        self.rewards.append(answer.reward)
        self.last = answer

    def same(self, rewards: Sequence[float], last: Step | Failure) -> bool:
        """Whether the answers to the same commands are the same, bit for bit."""
        if self.last is None or isinstance(last, Failure) or last[1:] != self.last[1:]:
            return False
        mine, other = self.last.observation, last.observation
        return (
            np.array_equal(self.rewards, rewards, equal_nan=True)
            and mine.keys() == other.keys()
            and all(np.array_equal(mine[key], other[key], equal_nan=True) for key in mine)
        )


class EnvironmentProcess:
    """The environments numbered `envs`, in one process. What is sent is received in the same order.

    Args:
        make: an environment; picklable, and called in the process.
        envs: their numbers, by which they are addressed and named.
        timeout_s: the longest that one may take over a step or reset, in seconds.
        log: gets a line for each restart.

    Attributes:
        restarts: of the process, so far.
    """

    def __init__(self, make: Callable[[], Env], envs: Sequence[int], timeout_s: float, log: Callable[[str], None]) -> None:
        self.restarts = 0
        self._make, self._places, self._timeout_s, self._log = make, {env: i for i, env in enumerate(envs)}, timeout_s, log
        self._worker: Worker | None = None
        self._episodes: dict[int, _Episode] = {}  # those under way
        self._waiting: list[int] = []  # environments that have not answered yet, in the order they were asked

    def start(self) -> None:
        """Without waiting until it is ready, which `opened` does."""
        self._worker = Worker(self._make, len(self._places), self._timeout_s)

    def opened(self) -> Bounds:
        """Wait until the environments are made.

        Raises:
            UserError: the process ended.
            Exception: what `Failure.error` makes of an exception.
        """
        try:
            return self._opened()
        except Lost as lost:
            raise UserError(f"the process of environment {min(self._places)} {lost} before the environment was made") from None

    def send(self, env: int, command: Command) -> None:
        """A seed begins an episode, an action goes on with it.

        Raises:
            ValueError: an action, and no episode is under way.
        """
        if isinstance(command, int):
            self._episodes[env] = _Episode([command])
        elif env in self._episodes:
            self._episodes[env].commands.append(command.copy())
        else:
            raise ValueError(f"environment {env} has no episode under way: reset it first")
        self._waiting.append(env)
        if not self._episodes[env].differs:
            self._running.send(self._places[env], command)

    def receive(self, env: int) -> Step | Failure:
        """The answer of `env`, which is the next to answer.

        Raises:
            UserError: the process crashed or hung over this step as often as it was tried.
        """
        assert env == self._waiting[0]
        episode = self._episodes[env]
        answer = self._answer(env, episode)
        del self._waiting[0]
        if isinstance(answer, Failure) or answer.terminated or answer.truncated:
            del self._episodes[env]
        else:
            episode.keep(answer)
        return answer

    def kill(self) -> None:
        if self._worker is not None:
            self._worker.kill()
            self._worker = None

    @property
    def _running(self) -> Worker:
        assert self._worker is not None, "closed"
        return self._worker

    def _answer(self, env: int, episode: _Episode) -> Step | Failure:
        lost: Lost | None = None
        for left in reversed(range(TRIES)):
            try:
                if lost is not None:
                    self._restart()
                if episode.differs:
                    assert episode.last is not None
                    return Step(episode.last.observation, 0.0, terminated=False, truncated=True)
                return self._running.receive()
            except Lost as error:
                lost = error
                if left:
                    self._log(f"environment {env} {lost} at {episode.place}: its process is started again")
        cause = "it cannot take that, or memory is short"
        if str(lost) == "hung":
            cause = f"no answer in {self._timeout_s:g} s; raise compute.env_timeout_s if it may take longer"
        raise UserError(f"environment {env} {lost} {TRIES} times at {episode.place}: {cause}")

    def _opened(self) -> Bounds:
        bounds = self._running.opened()
        if isinstance(bounds, Failure):
            raise bounds.error(min(self._places))
        return bounds

    def _restart(self) -> None:
        """A new process, its episodes where they were, and asked again what was not answered."""
        self.kill()
        self.restarts += 1
        self.start()
        self._opened()
        for env, episode in self._episodes.items():
            if episode.last is not None and not episode.differs:
                self._replay(env, episode)
        for env in self._waiting:
            if not self._episodes[env].differs:
                self._running.send(self._places[env], self._episodes[env].commands[-1])

    def _replay(self, env: int, episode: _Episode) -> None:
        rewards: list[float] = []
        answer: Step | Failure = Failure(False, "", "")
        for command in episode.commands[: len(episode.rewards)]:
            self._running.send(self._places[env], command)
            answer = self._running.receive()
            if isinstance(answer, Failure):
                break
            rewards.append(answer.reward)
        if not episode.same(rewards, answer):
            episode.differs = True
            at = len(episode.rewards) - 1
            self._log(f"environment {env} is not deterministic, its replay differs: the episode ends at step {at}")
