"""Proof that an episode can be had again: simulated anew from its seed and actions, and drawn anew."""

from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from datasets.episodes import Episode
from datasets.frames import DEFAULT_LOOK, Frames, Look, Quality, load_frames_index, read_frame_shard
from pipeline.sim.env import TaskEnv, View
from pipeline.sim.gym_env import GymEnv
from pipeline.sim.recording import Simulated
from pipeline.sim.replay import check_states, open_reader, open_replayer
from pipeline.sim.source import Source


@dataclass(frozen=True)
class CheckJob:
    """One episode to be checked, as a worker is told; `frames` None: without pictures; `source`: of a user's own environment."""

    trajectories: Path
    frames: Path | None
    episode: int
    source: Source | None = None


@dataclass(frozen=True)
class Replayed:
    """How many of an episode's steps came back bit for bit.

    Attributes:
        states: rows whose physics state, observation, discount and end were those of the new simulation.
        rewards: rows whose reward was.
        frames: rows whose picture was, both of the new simulation and drawn from the stored state; of `pictures` compared.
    """

    episode: int
    variant: str
    steps: int
    states: int
    rewards: int
    frames: int
    pictures: int

    @property
    def exact(self) -> bool:
        """Whether everything came back."""
        return self.states == self.rewards == self.steps and self.frames == self.pictures


def check_episode(job: CheckJob) -> Replayed:
    """Simulate one episode again, from its seed and actions, and draw it again, from that and from its stored states.

    Raises:
        DataError: there is nothing to simulate (imported data), or another MuJoCo's states.
    """
    data = open_reader(job.trajectories)
    bodies = {look.variant: look for look in (DEFAULT_LOOK, *data.index.sizes)}
    look = bodies[data.index.variant[job.episode]]
    index = load_frames_index(job.frames) if job.frames is not None else None
    size, quality = (index.size, index.quality) if index else (None, "fast")
    env = _environment(job.trajectories, look, size, _camera(index), quality, job.source)
    if isinstance(env, TaskEnv):
        check_states(data, env.simulation)
    stored = data.episode(job.episode)
    pictures = _stored_frames(job, index, look) if index is not None else []
    again, seen = _simulate(env, int(data.index.seed[job.episode]), stored)
    same = np.zeros(len(stored.reward), bool)
    if index is not None and pictures:
        drawn = iter(pictures) if job.source else _drawn(job, look, index)
        for t, (a, b, c) in enumerate(zip(pictures, seen, drawn, strict=True)):
            same[t] = np.array_equal(a, b) and np.array_equal(a, c)
    names = ("physics", "observation", "discount", "is_terminal") if env.has_state else ("physics", "discount", "is_terminal")
    rows = [getattr(stored, name) == getattr(again, name) for name in names]
    states = np.logical_and.reduce([r.reshape(len(r), -1).all(axis=1) for r in rows])
    rewards = stored.reward == again.reward
    return Replayed(
        job.episode, look.variant, len(rewards), int(states.sum()), int(rewards.sum()), int(same.sum()), len(pictures)
    )  # fmt: skip


@lru_cache(maxsize=1)
def _environment(
    trajectories: Path, look: Look, size: int | None, camera: int | str, quality: Quality, source: Source | None
) -> Simulated:
    """As the episodes were recorded, kept for the worker's next one; without a size nothing is drawn."""
    index = open_reader(trajectories).index
    repeat, steps = int(index.meta["action_repeat"]), int(index.meta["episode_steps"])
    if source is not None:
        return GymEnv(source, repeat, steps, size)
    return TaskEnv(index.task, repeat, steps, None if size is None else View(size, camera, quality, look), look)


def _drawn(job: CheckJob, look: Look, index: Frames) -> Iterator[NDArray[np.uint8]]:
    """Pictures of the stored states."""
    replayer = open_replayer(job.trajectories, look, index.size, _camera(index), index.quality)
    rows = open_reader(job.trajectories).index.rows_of(job.episode)
    return (replayer.frame(row) for row in range(rows.start, rows.stop))


def _simulate(env: Simulated, seed: int, stored: Episode) -> tuple[Episode, Iterator[NDArray[np.uint8]]]:
    """The episode anew; its pictures lie in memory (one episode's)."""
    first, _ = env.reset(seed=seed)
    columns = [(env.physics_state(), first["state"], 0.0, 1.0, False)]
    pictures = [first.get("image")]
    for action in stored.action[1:]:
        observation, reward, terminated, _, info = env.step(action)
        columns.append((env.physics_state(), observation["state"], reward, info["discount"], terminated))
        pictures.append(observation.get("image"))
    physics, states, rewards, discounts, ends = (np.array(column) for column in zip(*columns, strict=True))
    again = Episode(
        physics=physics, observation=states, action=stored.action, reward=rewards.astype(np.float32),
        discount=discounts.astype(np.float32), is_first=stored.is_first, is_terminal=ends,
    )  # fmt: skip
    return again, (picture for picture in pictures if picture is not None)


def _camera(index: Frames | None) -> int | str:
    if index is None:
        return 0
    return int(index.camera) if index.camera.isdigit() else index.camera


def _stored_frames(job: CheckJob, index: Frames, look: Look) -> list[NDArray[np.uint8]]:
    assert job.frames is not None
    if look.variant not in {frames.look.variant for frames in index.sets}:
        return []  # a resized body whose look was not rendered
    shard = next(shard for shard in index.of(look.variant).shards if job.episode in shard.episodes)
    return [frame for _, _, frame in read_frame_shard(job.frames / shard.file, lambda episode, t: episode == job.episode)]
