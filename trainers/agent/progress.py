"""How long an online run is, and how far it has come."""

from dataclasses import asdict, dataclass, field
from typing import Any, Literal, NamedTuple

from datasets.frames import DEFAULT


@dataclass(frozen=True)
class OnlineConfig:
    """How long, how often.

    Attributes:
        offline_updates: of behaviour alone, before the first online step.
        env_steps: agent steps online, rounded up to whole rounds of episodes.
        train_every: agent steps per update of world model and behaviour.
        eval_every: agent steps between evaluations; there is one before the first step and one at the end.
        eval_episodes: episodes an evaluation, always with the same seeds.
        checkpoint_every: updates between checkpoints while nothing is played.
        eval_looks: when it is evaluated under other looks, too: after its `last` step, at `all` evaluations, or `never`.
        eval_look_episodes: episodes an evaluation under another look, the first of `eval_episodes`' seeds.
        seed: of the environments' resets and of everything sampled.
        collects: False for the control, which stays with the collected data.
        standardises: whether inputs are standardised by the first round of episodes: where there is no other data.
    """

    offline_updates: int
    env_steps: int
    train_every: int
    eval_every: int
    eval_episodes: int
    checkpoint_every: int
    eval_looks: Literal["last", "all", "never"]
    eval_look_episodes: int
    seed: int
    collects: bool
    standardises: bool = False

    @property
    def updates(self) -> int:
        """All updates of behaviour, the offline ones included."""
        return self.offline_updates + self.env_steps // self.train_every


class Evaluation(NamedTuple):
    """Returns, float [episodes], of the agent acting as well as it can, after `env_steps` agent steps and `updates` updates."""

    env_steps: int
    updates: int
    returns: list[float]
    variant: str = DEFAULT


@dataclass
class Progress:
    """How far a run has come; plain values, part of a checkpoint.

    Attributes:
        episodes: [env_steps at its end, return] of every training episode.
    """

    updates: int = 0
    env_steps: int = 0
    rounds: int = 0
    evaluations: list[Evaluation] = field(default_factory=list)
    episodes: list[tuple[int, float]] = field(default_factory=list)

    def to_plain(self) -> dict[str, Any]:
        """Numbers and lists."""
        return asdict(self) | {"evaluations": [list(e) for e in self.evaluations], "episodes": [list(e) for e in self.episodes]}

    @classmethod
    def from_plain(cls, values: dict[str, Any]) -> "Progress":
        """The inverse of `to_plain`."""
        evaluations = [Evaluation(*evaluation) for evaluation in values["evaluations"]]
        return cls(**values | {"evaluations": evaluations, "episodes": [(steps, total) for steps, total in values["episodes"]]})
