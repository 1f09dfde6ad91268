"""`params.yaml`, typed and validated once: a wrong key, type or range is one clear line before any work starts."""

import difflib
import re
from pathlib import Path
from typing import Annotated, Any, Literal, get_args, get_origin

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, ValidationError, model_validator
from ruamel.yaml import YAML, YAMLError

from datasets.errors import UserError
from pipeline.encoders.registry import canonical, selectable_names
from pipeline.sim.names import ALL, AXES, JOIN, SIZE, TASKS, field_camera

Positive = Annotated[int, Field(gt=0)]
Count = Annotated[int, Field(ge=0)]
PositiveFloat = Annotated[float, Field(gt=0, allow_inf_nan=False)]
Fraction = Annotated[float, Field(ge=0, le=1)]
Severity = Annotated[float, Field(gt=0, le=1)]
Seed = Annotated[int, Field(ge=0, lt=2**31)]
Quality = Literal["random", "medium", "replay", "expert"]
Algorithm = Literal["dreamerv3"]
QUALITIES: tuple[Quality, ...] = get_args(Quality)


def _axis(name: str) -> str:
    if name not in (ALL, SIZE):
        for part in name.split(JOIN):
            _known("", part, [axis for axis in AXES if axis != SIZE] if JOIN in name else [*AXES, ALL], "axis")
    return name


def _paired_axis(name: str) -> str:
    if name == SIZE:
        raise ValueError("size has trajectories of its own, all held out: models cannot train on it")
    return _axis(name)


class _Section(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True, frozen=True, populate_by_name=True)


class Custom(_Section):
    base: str
    layer: Positive | None = None
    pooling: Literal["cls", "mean", "attention"] | None = None


class Import(_Section):
    format: Literal["vd4rl", "robomimic"] | None = None  # None: whichever the path holds
    path: str
    camera: str | None = None
    quality: Annotated[str, Field(pattern=r"^[a-z0-9_]+$")]
    validation: Annotated[float, Field(gt=0, lt=1)]


class Compute(_Section):
    device: Literal["cpu", "cuda"]
    threads: Positive
    workers: Count


class Sac(_Section):
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


class EpisodeCounts(_Section):
    random: Count
    medium: Count
    replay: Count
    expert: Count

    @property
    def total(self) -> int:
        return self.random + self.medium + self.replay + self.expert

    def of(self, quality: Quality) -> int:
        return int(getattr(self, quality))


class Sizes(_Section):
    severities: list[Severity]
    looks_per_severity: Positive
    episodes: EpisodeCounts


class Collect(_Section):
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


class TrainLooks(_Section):
    axes: list[Annotated[str, AfterValidator(_paired_axis)]]
    severities: list[Severity]
    looks_per_severity: Positive


class Render(_Section):
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


class RandomEncoder(_Section):
    dim: Positive


class Autoencoder(_Section):
    dim: Positive
    frames: Positive
    updates: Positive
    batch: Positive
    learning_rate: PositiveFloat


class SmallVitSize(_Section):
    width: Annotated[int, Field(gt=0, multiple_of=4)]
    depth: Positive
    heads: Positive

    @model_validator(mode="after")
    def _heads_divide(self) -> "SmallVitSize":
        if self.width % self.heads:
            raise ValueError(f"width ({self.width}) must be a multiple of heads ({self.heads})")
        return self

    @property
    def size(self) -> dict[str, int]:
        """The arguments of `SmallVit`."""
        return {"width": self.width, "depth": self.depth, "heads": self.heads}


class InDomainVit(SmallVitSize):
    tasks: Annotated[list[str], Field(min_length=1)] | None
    frames: Positive
    updates: Count
    batch: Annotated[int, Field(ge=2)]
    learning_rate: PositiveFloat

    def sources(self, task: str) -> list[str]:
        """The tasks whose frames serve `task`: itself, or those named but never itself."""
        return [task] if self.tasks is None else [other for other in self.tasks if other != task]


class Pretrain(_Section):
    random: RandomEncoder
    autoencoder: Autoencoder
    random_vit: SmallVitSize
    mae_indomain: InDomainVit
    dino_indomain: InDomainVit

    @property
    def vits(self) -> dict[str, InDomainVit]:
        """The settings of those that learn from frames of this task or of others, by name."""
        return {"mae_indomain": self.mae_indomain, "dino_indomain": self.dino_indomain}

    def of(self, name: str) -> BaseModel:
        """The settings of one encoder made here, by its canonical name."""
        section: BaseModel = getattr(self, "random" if name == "random_cnn" else name)
        return section


class Encode(_Section):
    dtype: Literal["float16", "float32"]
    batch: Positive
    chunk: Positive
    shard: Positive

    @model_validator(mode="after")
    def _whole_chunks(self) -> "Encode":
        if self.shard % self.chunk or self.chunk % self.batch:
            raise ValueError("shard must be a multiple of chunk, and chunk a multiple of batch")
        return self


class Rssm(_Section):
    deter: Positive
    hidden: Positive
    stoch: Positive
    classes: Annotated[int, Field(ge=2)]
    blocks: Positive
    units: Positive

    @model_validator(mode="after")
    def _blocks_divide(self) -> "Rssm":
        if self.deter % self.blocks:
            raise ValueError(f"deter ({self.deter}) must be a multiple of blocks ({self.blocks})")
        return self


class LossScales(_Section):
    prediction: Annotated[float, Field(ge=0)]
    reward: Annotated[float, Field(ge=0)]
    continue_: Annotated[float, Field(ge=0, alias="continue")]
    dynamics: Annotated[float, Field(ge=0)]
    representation: Annotated[float, Field(ge=0)]
    free_nats: Annotated[float, Field(ge=0)]


class Train(_Section):
    seeds: Annotated[list[Seed], Field(min_length=1)]
    updates: Positive
    batch: Positive
    length: Annotated[int, Field(ge=2)]
    learning_rate: PositiveFloat
    clip: PositiveFloat
    checkpoint_every: Positive
    rssm: Rssm
    loss: LossScales


class Evaluate(_Section):
    horizon: Count
    long_starts: Count
    latents: Count


class Finetune(_Section):
    offline_updates: Count
    env_steps: Count
    envs: Positive
    train_every: Positive
    batch: Positive
    length: Annotated[int, Field(ge=2)]
    offline_fraction: Fraction
    imagine: Positive
    imagine_last: Positive
    learning_rate: PositiveFloat
    world_model_learning_rate: PositiveFloat
    entropy: Annotated[float, Field(ge=0)]
    discount: Annotated[float, Field(gt=0, lt=1)]
    lambda_: Annotated[float, Field(ge=0, le=1, alias="lambda")]
    eval_every: Positive
    eval_episodes: Positive


class Report(_Section):
    bootstrap: Positive
    confidence: Annotated[float, Field(gt=0, lt=1)]


class Params(_Section):
    preset: str
    encoder: str
    tasks: Annotated[list[str], Field(min_length=1)]
    algorithms: Annotated[list[Algorithm], Field(min_length=1)]
    seed: Seed
    weights: dict[str, str | None]
    custom: dict[str, Custom]
    imports: dict[str, Import]
    compute: Compute
    collect: Collect
    render: Render
    pretrain: Pretrain
    encode: Encode
    train: Train
    evaluate: Evaluate
    finetune: Finetune
    report: Report

    @property
    def references(self) -> list[str]:
        """Names of the representations every run is compared with, then the selected one, without repetition."""
        return list(dict.fromkeys([self.encoder, "state", "scratch", "random", "autoencoder"]))

    @model_validator(mode="after")
    def _sizes_are_collected(self) -> "Params":
        missing = sorted(set(self.render.severities) - set(self.collect.size.severities)) if SIZE in self.render.axes else []
        if missing:
            raise ValueError(f"collect.size.severities lacks {missing[0]}, which render.axes asks for with `size`: add it there")
        if SIZE in self.render.axes and self.render.looks_per_severity > self.collect.size.looks_per_severity:
            raise ValueError(
                "collect.size.looks_per_severity is below render.looks_per_severity, and render.axes has `size`: raise it"
            )
        return self

    @model_validator(mode="after")
    def _pretraining_tasks_are_there(self) -> "Params":
        for name, vit in self.pretrain.vits.items():
            for other in vit.tasks or ():
                if other not in self.tasks:
                    raise ValueError(
                        f"pretrain.{name}.tasks: {other!r} is not among tasks, so it has no frames here; add it there"
                    )
            for task in self.tasks:
                if not vit.sources(task):
                    raise ValueError(f"pretrain.{name}.tasks names no task but {task!r} itself; null means its own frames")
        return self

    @model_validator(mode="after")
    def _names_exist(self) -> "Params":
        for name, custom in self.custom.items():
            if not re.fullmatch(r"[a-z0-9_]+", name):
                raise ValueError(f"custom.{name}: a name may hold a-z, 0-9 and _ only")
            if not custom.base.startswith("timm/") and ":" not in custom.base:  # else a timm model, or a class of the user's
                _known("custom." + name + ".base", custom.base, selectable_names(), "encoder")
        known = [*selectable_names(), *self.custom]
        _known("encoder", self.encoder, known, "encoder")
        for name in self.weights:
            _known(f"weights.{name}", name, known, "encoder")
        if self.encoder not in self.weights:
            raise ValueError(f"weights.{self.encoder} is missing: add it (null: its hub, or made here)")
        for name in self.imports:
            if not re.fullmatch(r"[a-z0-9_]+", name):
                raise ValueError(f"imports.{name}: a name may hold a-z, 0-9 and _ only")
            if name in TASKS:
                raise ValueError(f"imports.{name}: that is a task of dm_control's suite; choose another name")
        for task in self.tasks:
            _known("tasks", task, [*self.imports, *TASKS], "task")
        for key, values in (("tasks", self.tasks), ("algorithms", self.algorithms), ("train.seeds", self.train.seeds)):
            if len(set(values)) != len(values):
                raise ValueError(f"{key}: {values} repeats a value")
        return self


def _known(key: str, name: str, names: list[str], what: str) -> None:
    if name in names:
        return
    near = difflib.get_close_matches(name, names, n=1)
    hint = f"did you mean {near[0]!r}?" if near else f"known: {', '.join(names[:60])}"
    raise ValueError(f"{key}{': ' if key else ''}unknown {what} {name!r}; {hint}")


def _section_at(loc: tuple[int | str, ...]) -> type[BaseModel] | None:
    """The section model that holds the key at `loc`."""
    model: Any = Params
    for part in loc[:-1]:
        field = next((f for n, f in model.model_fields.items() if part in (n, f.alias)), None)
        model = field.annotation if field else None
        if get_origin(model) or not (isinstance(model, type) and issubclass(model, BaseModel)):
            return None
    return model


def _line(error: Any) -> str:
    key = ".".join(str(part) for part in error["loc"])
    if error["type"] == "extra_forbidden":
        section = _section_at(error["loc"])
        names = [f.alias or n for n, f in section.model_fields.items()] if section else []
        near = difflib.get_close_matches(str(error["loc"][-1]), names, n=1)
        return f"{key}: unknown key" + (f"; did you mean {near[0]!r}?" if near else "")
    if error["type"] == "missing":
        return f"{key}: missing key"
    message = error["msg"].removeprefix("Value error, ")
    message = message[0].lower() + message[1:]
    shown = f" (it is {error['input']!r})" if isinstance(error["input"], str | int | float | bool) else ""
    return f"{key}: {message}{shown}" if key else message


def parse_params(values: Any, source: str = "params.yaml") -> Params:
    """Validate the content of a params file.

    Raises:
        UserError: one line, naming every wrong key and what is wrong with it.
    """
    try:
        return Params.model_validate(values)
    except ValidationError as error:
        lines = [_line(e) for e in error.errors()]
        raise UserError(f"{source}: " + "; ".join(lines)) from None


def load_params(path: Path | str = "params.yaml") -> Params:
    """Read and validate a params file.

    Raises:
        UserError: the file is missing, is not YAML, or holds a wrong key, type or value.
    """
    try:
        values = YAML(typ="safe").load(Path(path).read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise UserError(f"{path} is missing: run from the project's root, or make one with `make preset NAME=embedded`") from None
    except (OSError, UnicodeDecodeError) as error:
        raise UserError(f"{path} is not readable as text: {error}") from None
    except YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        where = f", line {mark.line + 1}" if mark else ""
        raise UserError(f"{path}{where}: not valid YAML: {getattr(error, 'problem', error)}") from None
    return parse_params(values, str(path))


__all__ = ["QUALITIES", "Params", "canonical", "load_params", "parse_params"]
