"""What runs in an environment's process, and the two ends of the pipe to it."""

import os
import signal
import socket
import struct
import traceback
from collections.abc import Callable
from contextlib import suppress
from multiprocessing import get_context, resource_tracker
from multiprocessing.connection import Connection
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from datasets.errors import UserError
from trainers.orphan import die_with
from trainers.protocols import Env, Step

START_S = 120.0  # at least so long may a process take to import and to make its environments

Bounds = tuple[NDArray[np.float32], NDArray[np.float32]]  # lowest and highest action, [A] each
Command = int | NDArray[np.float32]  # a seed to reset with, or an action [A]


class Lost(Exception):
    """The process is no use any more; the text says how it ended: `crashed` or `hung`."""


class Failure(NamedTuple):
    """An exception inside an environment."""

    meant_for_user: bool
    text: str
    trace: str

    def error(self, env: int) -> Exception:
        """As it is raised in the parent; `env` is the environment's number."""
        if self.meant_for_user:
            return UserError(f"environment {env}: {self.text}")
        error = RuntimeError(f"environment {env}: {self.text}")
        error.add_note(self.trace)
        return error


class Worker:
    """One process with `count` environments, and this end of its pipe; answers come in the order of the commands.

    It is started on construction; the first answer is the environments' `Bounds`, or a `Failure` to make them.
    """

    def __init__(self, make: Callable[[], Env], count: int, timeout_s: float) -> None:
        context = get_context("spawn")
        self._pipe, theirs = context.Pipe()
        self._timeout_s = timeout_s
        self._wait_at_most(max(timeout_s, START_S))
        self._process = context.Process(target=_serve, args=(theirs, make, count, os.getpid()), daemon=True)
        resource_tracker.ensure_running()  # else `start` does it, and unblocks the signal
        before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})  # inherited: Ctrl-C is for the parent to act on
        try:
            self._process.start()
        finally:
            signal.pthread_sigmask(signal.SIG_SETMASK, before)
        theirs.close()  # so that the process's end is the pipe's

    def opened(self) -> Bounds | Failure:
        """
        Raises:
            Lost: it ended, or took too long.
        """
        answer: Bounds | Failure = self._receive()
        self._wait_at_most(self._timeout_s)
        return answer

    def send(self, env: int, command: Command) -> None:
        """To the environment of that place; that the process is gone is `receive`'s to say."""
        with suppress(OSError):
            self._pipe.send((env, command))

    def receive(self) -> Step | Failure:
        """
        Raises:
            Lost: it crashed, or does not answer in time.
        """
        answer: Step | Failure = self._receive()
        return answer

    def kill(self) -> None:
        """Also a process that is stopped; there is nothing in it to be kept."""
        self._process.kill()
        self._process.join()
        self._pipe.close()

    def _receive(self) -> Any:
        try:
            return self._pipe.recv()
        except BlockingIOError:
            raise Lost("hung") from None
        except (EOFError, OSError):
            raise Lost("crashed") from None

    def _wait_at_most(self, seconds: float) -> None:
        """Have a read fail after so long without a byte, in the midst of a message too."""
        with socket.socket(fileno=os.dup(self._pipe.fileno())) as end:
            end.setsockopt(socket.SOL_SOCKET, socket.SO_RCVTIMEO, struct.pack("ll", int(seconds), int(seconds % 1 * 1e6)))


def begun(env: Env, seed: int) -> Step:
    """The first observation of a new episode, as a step that has earned nothing."""
    return Step(env.reset(seed=seed)[0], 0.0, False, False)


def stepped(env: Env, action: NDArray[np.float32]) -> Step:
    """One agent step; action [A]."""
    observation, reward, terminated, truncated, _ = env.step(action)
    return Step(observation, float(reward), bool(terminated), bool(truncated))


def _serve(pipe: Connection, make: Callable[[], Env], count: int, parent: int) -> None:
    """Make the environments and answer commands, as long as there is somebody to answer."""
    die_with(parent)
    with suppress(EOFError, BrokenPipeError, ConnectionResetError):
        try:
            envs = [make() for _ in range(count)]
        except Exception as error:
            pipe.send(_failure(error))
            return
        pipe.send((envs[0].action_low, envs[0].action_high))
        while True:
            env, command = pipe.recv()
            pipe.send(_answer(envs[env], command))


def _answer(env: Env, command: Command) -> Step | Failure:
    try:
        return begun(env, command) if isinstance(command, int) else stepped(env, command)
    except Exception as error:
        return _failure(error)


def _failure(error: Exception) -> Failure:
    known = isinstance(error, UserError)
    return Failure(known, str(error) if known else f"{type(error).__name__}: {error}", traceback.format_exc())
