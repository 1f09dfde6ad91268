"""Behaviour policies: soft actor-critic (stable-baselines3) learning on the physics state, with what it did on the way.

Of one learning run are kept the actor at regular checkpoints and every finished episode as (reset seed, actions), so
that an episode of its learning can be simulated again, exactly.
"""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from pipeline.sim.recording import Act, Simulated

_LOG_STD_LIMITS = (-20.0, 2.0)  # of stable-baselines3's actor


class SacSettings(Protocol):
    """`collect.sac` of params.yaml."""

    steps: int
    hidden: int
    batch: int
    learning_rate: float
    learning_starts: int
    checkpoint_every: int
    discount: float
    gradient_steps: int


@dataclass(frozen=True)
class Actor:
    """A tanh-Gaussian policy as plain arrays, evaluated with numpy.

    Attributes:
        weights: float32, `kernel0 bias0 kernel1 bias1` of the two hidden ReLU layers, `mean_kernel mean_bias std_kernel
            std_bias` of the heads; kernels are [out, in].
        low, high: float32 [A], the action bounds.
    """

    weights: dict[str, NDArray[np.float32]]
    low: NDArray[np.float32]
    high: NDArray[np.float32]

    def sampled(self, seed: int) -> Act:
        """Act by sampling, as the policy did when it learned."""
        rng = np.random.Generator(np.random.PCG64(seed))
        w = self.weights

        def act(state: NDArray[np.float32]) -> NDArray[np.float32]:
            hidden = state
            for layer in ("0", "1"):
                hidden = np.maximum(w["kernel" + layer] @ hidden + w["bias" + layer], 0)
            mean = w["mean_kernel"] @ hidden + w["mean_bias"]
            std = np.exp(np.clip(w["std_kernel"] @ hidden + w["std_bias"], *_LOG_STD_LIMITS))
            squashed = np.tanh(mean + std * rng.standard_normal(mean.shape, np.float32))
            return self.low + (squashed + 1) / 2 * (self.high - self.low)

        return act


@dataclass(frozen=True)
class Learning:
    """What one SAC run leaves.

    Attributes:
        checkpoints: agent steps -> the actor's weights.
        episodes: (reset seed, actions float32 [steps, A]) of every finished learning episode, in order.
    """

    checkpoints: dict[int, dict[str, NDArray[np.float32]]]
    episodes: list[tuple[int, NDArray[np.float32]]]

    def arrays(self) -> dict[str, NDArray[Any]]:
        """Flat names and arrays, to be kept in a file."""
        kept = {f"checkpoint/{steps}/{name}": a for steps, weights in self.checkpoints.items() for name, a in weights.items()}
        for index, (seed, actions) in enumerate(self.episodes):
            kept |= {f"episode/{index}/seed": np.int64(seed), f"episode/{index}/actions": actions}  # type: ignore[dict-item]
        return kept

    @staticmethod
    def from_arrays(arrays: dict[str, NDArray[Any]]) -> "Learning":
        """The inverse of `arrays`."""
        checkpoints: dict[int, dict[str, NDArray[np.float32]]] = {}
        seeds: dict[int, int] = {}
        actions: dict[int, NDArray[np.float32]] = {}
        for key, value in arrays.items():
            kind, index, name = key.split("/")
            if kind == "checkpoint":
                checkpoints.setdefault(int(index), {})[name] = value
            elif name == "seed":
                seeds[int(index)] = int(value)
            else:
                actions[int(index)] = value
        return Learning(dict(sorted(checkpoints.items())), [(seeds[i], actions[i]) for i in sorted(seeds)])


def learn_sac(
    env: Simulated, settings: SacSettings, seed: int, threads: int, track: Callable[[Sequence[int]], Iterable[int]]
) -> Learning:
    """Train SAC on `env`'s state, from its seed: the same seed and thread count give the same bits on a CPU.

    Args:
        track: reports progress over the steps it iterates.
    """
    import torch
    from stable_baselines3 import SAC
    from stable_baselines3.common.callbacks import BaseCallback

    torch.set_num_threads(threads)
    recorder = _recorder(env, seed)
    sac = SAC(
        "MlpPolicy", recorder, learning_rate=settings.learning_rate, buffer_size=settings.steps, batch_size=settings.batch,
        learning_starts=settings.learning_starts, gamma=settings.discount, gradient_steps=settings.gradient_steps,
        policy_kwargs={"net_arch": [settings.hidden, settings.hidden], "optimizer_kwargs": {"fused": True}},
        seed=seed, device="cpu",
    )  # fmt: skip
    checkpoints: dict[int, dict[str, NDArray[np.float32]]] = {}
    ticks = iter(track(range(settings.steps)))

    class Checkpoints(BaseCallback):
        def _on_step(self) -> bool:
            next(ticks, None)
            if self.num_timesteps % settings.checkpoint_every == 0 or self.num_timesteps == settings.steps:
                checkpoints[self.num_timesteps] = _actor_weights(sac.actor)
            return True

    sac.learn(settings.steps, callback=Checkpoints())
    return Learning(checkpoints, recorder.finished)


def _actor_weights(actor: Any) -> dict[str, NDArray[np.float32]]:
    layers = {"0": actor.latent_pi[0], "1": actor.latent_pi[2], "mean_": actor.mu, "std_": actor.log_std}
    weights = {}
    for name, layer in layers.items():
        kernel, bias = (f"{name}kernel", f"{name}bias") if name.endswith("_") else (f"kernel{name}", f"bias{name}")
        weights[kernel] = layer.weight.detach().numpy().copy()
        weights[bias] = layer.bias.detach().numpy().copy()
    return weights


def _recorder(env: Simulated, seed: int) -> Any:
    """`env` as SAC wants it (a plain state vector), keeping each finished episode's reset seed and actions."""
    import gymnasium

    class Recorder(gymnasium.Wrapper[Any, Any, Any, Any]):
        def __init__(self) -> None:
            super().__init__(env)
            self.observation_space = env.observation_space["state"]  # type: ignore[index]
            self.finished: list[tuple[int, NDArray[np.float32]]] = []
            self._rng = np.random.Generator(np.random.PCG64(seed))
            self._actions: list[NDArray[np.float32]] = []

        def reset(self, *, seed: int | None = None, options: dict[str, Any] | None = None) -> Any:
            self._actions = []
            observation, info = env.reset(seed=int(self._rng.integers(2**31)))
            return observation["state"], info

        def step(self, action: NDArray[np.float32]) -> Any:
            self._actions.append(env.clip(action))
            observation, reward, terminated, truncated, info = env.step(action)
            if terminated or truncated:
                self.finished.append((env.seed, np.stack(self._actions)))
            return observation["state"], reward, terminated, truncated, info

    return Recorder()
