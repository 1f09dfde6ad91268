"""Sections about the data: where it comes from, how it is simulated and rendered."""

from typing import Annotated, Literal, get_args

from pydantic import AfterValidator, Field, JsonValue, model_validator

from pipeline.sections.base import Count, Positive, PositiveFloat, Section, Severity, known
from pipeline.sim.names import ALL, AXES, JOIN, SIZE, field_camera

Quality = Literal["random", "medium", "replay", "expert"]
QUALITIES: tuple[Quality, ...] = get_args(Quality)


def _axis(name: str) -> str:
    if name not in (ALL, SIZE):
        for part in name.split(JOIN):
            known("", part, [axis for axis in AXES if axis != SIZE] if JOIN in name else [*AXES, ALL], "axis")
    return name


def _paired_axis(name: str) -> str:
    if name == SIZE:
        raise ValueError("size has trajectories of its own, all held out: models cannot train on it")
    return _axis(name)


class Import(Section):
    format: Literal["vd4rl", "robomimic"] | None = None  # None: whichever the path holds
    path: str
    camera: str | None = None
    quality: Annotated[str, Field(pattern=r"^[a-z0-9_]+$")]
    validation: Annotated[float, Field(gt=0, lt=1)]


class Environment(Section):
    make: Annotated[str, Field(pattern=r"^[^:\s]+(:[^:\s]+)?$")]  # a Gymnasium id, FILE.py:FUNCTION or module:function
    kwargs: dict[str, JsonValue] = Field(default_factory=dict)  # of the id or function


class Compute(Section):
    device: Literal["cpu", "cuda"]
    threads: Positive
    workers: Count
    scheduler: str | None
    env_processes: Count
    env_timeout_s: PositiveFloat

    @property
    def identity(self) -> dict[str, str | int]:
        """What results depend on; how the work is spread is not."""
        return {"device": self.device, "threads": self.threads}


class Sac(Section):
    steps: Positive
    hidden: Positive
    batch: Positive
    learning_rate: PositiveFloat
    discount: Annotated[float, Field(gt=0, lt=1)]
    gradient_steps: Positive
    learning_starts: Count
    checkpoint_every: Positive

    @model_validator(mode="after")
    def _starts_before_end(self) -> "Sac":
        if self.learning_starts >= self.steps:
            raise ValueError(f"learning_starts ({self.learning_starts}) must be below steps ({self.steps})")
        return self


class EpisodeCounts(Section):
    random: Count
    medium: Count
    replay: Count
    expert: Count

    @property
    def total(self) -> int:
        return self.random + self.medium + self.replay + self.expert

    def of(self, quality: Quality) -> int:
        return int(getattr(self, quality))


class Sizes(Section):
    severities: list[Severity]
    looks_per_severity: Positive
    episodes: EpisodeCounts


class Collect(Section):
    action_repeat: Positive
    episode_steps: Positive
    random: Literal["uniform", "ou"]
    episodes: EpisodeCounts
    validation: EpisodeCounts
    size: Sizes
    sac: Sac

    @model_validator(mode="after")
    def _validation_within_episodes(self) -> "Collect":
        for quality in QUALITIES:
            if self.validation.of(quality) > self.episodes.of(quality):
                raise ValueError(f"validation.{quality} exceeds episodes.{quality}")
        if not 0 < self.validation.total < self.episodes.total:
            raise ValueError("validation must hold out at least one episode and leave at least one for training")
        if self.episode_steps % self.action_repeat:
            raise ValueError(f"episode_steps must be a multiple of action_repeat ({self.action_repeat})")
        return self


class TrainLooks(Section):
    axes: list[Annotated[str, AfterValidator(_paired_axis)]]
    severities: list[Severity]
    looks_per_severity: Positive


class Render(Section):
    size: Annotated[int, Field(ge=16, le=1024)]
    camera: Count | str | None
    quality: Literal["fast", "standard"]
    axes: list[Annotated[str, AfterValidator(_axis)]]
    severities: list[Severity]
    looks_per_severity: Positive
    train_looks: TrainLooks
    images: list[str]
    episodes_per_shard: Positive

    def camera_of(self, task: str) -> int | str:
        """The camera of one task, index or name."""
        return field_camera(task) if self.camera is None else self.camera
