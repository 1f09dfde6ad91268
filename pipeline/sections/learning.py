"""Sections about what learns from the data, and what is reported."""

from typing import TYPE_CHECKING, Annotated, Any, Literal, NamedTuple, Protocol

from pydantic import BaseModel, Field, model_validator

from datasets.errors import UserError
from pipeline.sections.base import Count, Fraction, Positive, PositiveFloat, Section, Seed
from pipeline.sections.dinowm import DinoWm
from pipeline.sections.rssm import Rssm
from pipeline.sections.tdmpc2 import TdMpc2

if TYPE_CHECKING:
    from trainers.algorithms import Sizes


class Custom(Section):
    base: str
    layer: Positive | None = None
    pooling: Literal["cls", "mean", "attention"] | None = None


class RandomEncoder(Section):
    dim: Positive


class Autoencoder(Section):
    dim: Positive
    frames: Positive
    updates: Positive
    batch: Positive
    learning_rate: PositiveFloat


class SmallVitSize(Section):
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


class Pretrain(Section):
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


class Tokens(Section):
    spatial: bool
    after_block: Positive | None
    grid: Positive | None
    dtype: Literal["float16", "float32", "int8"]
    compress: bool
    chunk: Positive
    shard: Positive

    @model_validator(mode="after")
    def _whole_chunks(self) -> "Tokens":
        if self.shard % self.chunk:
            raise ValueError("shard must be a multiple of chunk")
        return self

    @property
    def kept(self) -> bool:
        """Whether anything is."""
        return self.spatial or self.after_block is not None


class Encode(Section):
    dtype: Literal["float16", "float32"]
    precision: Literal["fp32", "bf16", "fp16"]
    compile: bool
    batch: Positive
    chunk: Positive
    shard: Positive
    tokens: Tokens

    @model_validator(mode="after")
    def _whole_chunks(self) -> "Encode":
        if self.shard % self.chunk or self.chunk % self.batch:
            raise ValueError("shard must be a multiple of chunk, and chunk a multiple of batch")
        if self.tokens.kept and self.shard % self.tokens.shard:
            raise ValueError("shard must be a multiple of tokens.shard")
        return self


class LossScales(Section):
    prediction: Annotated[float, Field(ge=0)]
    reward: Annotated[float, Field(ge=0)]
    continue_: Annotated[float, Field(ge=0, alias="continue")]
    dynamics: Annotated[float, Field(ge=0)]
    representation: Annotated[float, Field(ge=0)]
    free_nats: Annotated[float, Field(ge=0)]
    infonce: Annotated[float, Field(ge=0)]
    barlow: Annotated[float, Field(ge=0)]


class Loop(Protocol):
    """What the offline loop reads of an algorithm's own section."""

    @property
    def updates(self) -> int: ...
    @property
    def batch(self) -> int: ...
    @property
    def length(self) -> int: ...
    @property
    def stacked(self) -> int: ...
    @property
    def reads(self) -> str: ...
    @property
    def reconstructs_frames(self) -> bool: ...
    @property
    def learning_rate(self) -> float: ...
    @property
    def clip(self) -> float: ...


class Own(NamedTuple):
    """One algorithm's part of `train`.

    Attributes:
        section: where in params.yaml it is.
        identity: JSON-able, all of `train` that a model depends on.
    """

    loop: Loop
    section: str
    identity: dict[str, Any]


class Train(Section):
    seeds: Annotated[list[Seed], Field(min_length=1)]
    together: bool | None
    precision: Literal["fp32", "bf16"]
    updates: Positive
    batch: Positive
    length: Annotated[int, Field(ge=2)]
    look_weights: dict[str, PositiveFloat] | None
    learning_rate: PositiveFloat
    clip: PositiveFloat
    checkpoint_every: Positive
    adapter: Literal["linear", "mlp"]
    decoder: Literal["embedding", "pixels", "none"]
    rssm: Rssm
    loss: LossScales
    tdmpc2: TdMpc2
    dinowm: DinoWm

    def as_one(self, device: str) -> bool:
        """Whether seeds train as one program: on a GPU, if nothing else is said."""
        return self.together if self.together is not None else device != "cpu"

    @property
    def reads(self) -> str:
        """Which stored array DreamerV3 reads."""
        return "embedding"

    @property
    def reconstructs_frames(self) -> bool:
        """Whether DreamerV3's latents must reconstruct frames, whatever it reads."""
        return self.decoder == "pixels"

    @property
    def stacked(self) -> int:
        """Rows in one observation, of DreamerV3's."""
        return 1

    @property
    def sizes(self) -> "Sizes":
        """What models are built from."""
        from trainers.algorithms import Sizes
        from trainers.worldmodel import LossScales

        loss = LossScales(**self.loss.model_dump())
        return Sizes(self.rssm.numbers, loss, self.adapter, self.decoder, self.tdmpc2.settings, self.dinowm.settings)

    def of(self, algorithm: str) -> Own:
        """What `algorithm` reads of this section.

        Raises:
            UserError: there is no such algorithm.
        """
        shared = self.model_dump(mode="json", include={"seeds", "together", "precision", "look_weights", "checkpoint_every"})
        known = {
            "dreamerv3": Own(self, "train", self.model_dump(mode="json", by_alias=True, exclude={"tdmpc2", "dinowm"})),
            "tdmpc2": Own(self.tdmpc2, "train.tdmpc2", shared | self.tdmpc2.identity),
            "dinowm": Own(self.dinowm, "train.dinowm", shared | self.dinowm.identity),
        }
        if algorithm not in known:
            raise UserError(f"algorithm: unknown algorithm {algorithm!r}; known: {', '.join(known)}")
        return known[algorithm]


class Evaluate(Section):
    horizon: Count
    long_starts: Count
    latents: Count


class Plan(Section):
    horizon: Positive
    iterations: Positive
    samples: Positive
    elites: Positive
    from_policy: Count

    @model_validator(mode="after")
    def _elites_are_sampled(self) -> "Plan":
        if not self.elites <= self.samples or not self.from_policy < self.samples:
            raise ValueError("elites must not exceed samples, and from_policy must be below samples")
        return self


class FinetuneTdMpc2(Section):
    train_every: Positive
    batch: Positive
    learning_rate: PositiveFloat
    plan: Plan


class Plan2Explore(Section):
    weight: Annotated[float, Field(ge=0)]
    members: Annotated[int, Field(ge=2)]


class Learning(NamedTuple):
    """What the online loop reads of one algorithm; `length` is of a window, None where the model's own is meant."""

    offline_updates: int
    train_every: int
    batch: int
    length: int | None


class Finetune(Section):
    arms: Annotated[list[Literal["online", "offline_only", "from_nothing"]], Field(min_length=1)]
    offline_updates: Count
    env_steps: Count
    envs: Positive
    train_every: Positive
    batch: Positive
    length: Annotated[int, Field(ge=2)]
    offline_fraction: Fraction
    stored_latents: bool
    imagine: Positive
    imagine_last: Positive
    learning_rate: PositiveFloat
    world_model_learning_rate: PositiveFloat
    entropy: Annotated[float, Field(ge=0)]
    plan2explore: Plan2Explore
    discount: Annotated[float, Field(gt=0, lt=1)]
    lambda_: Annotated[float, Field(ge=0, le=1, alias="lambda")]
    eval_every: Positive
    eval_episodes: Positive
    eval_looks: Literal["last", "all", "never"]
    eval_look_episodes: Positive
    tdmpc2: FinetuneTdMpc2

    @model_validator(mode="after")
    def _arms_differ(self) -> "Finetune":
        if len(set(self.arms)) < len(self.arms):
            raise ValueError("arms names one twice")
        return self

    def learning(self, algorithm: str) -> Learning:
        """How often and on what `algorithm` learns; TD-MPC2 has no behaviour apart from its model."""
        if algorithm == "tdmpc2":
            return Learning(0, self.tdmpc2.train_every, self.tdmpc2.batch, None)
        return Learning(self.offline_updates, self.train_every, self.batch, self.length)

    def of(self, algorithm: str) -> dict[str, Any]:
        """JSON-able: what `algorithm` reads of this section."""
        if algorithm == "tdmpc2":
            shared = {"arms", "env_steps", "envs", "offline_fraction", "tdmpc2"}
            evaluation = {name for name in type(self).model_fields if name.startswith("eval_")}
            return self.model_dump(mode="json", include=shared | evaluation)
        return self.model_dump(mode="json", by_alias=True, exclude={"tdmpc2"})


class Report(Section):
    bootstrap: Positive
    confidence: Annotated[float, Field(gt=0, lt=1)]
    event: Annotated[float, Field(gt=0, lt=1)]
