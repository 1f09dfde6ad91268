"""The section about TD-MPC2's world model."""

from dataclasses import asdict
from typing import Annotated, Any, Literal

from pydantic import Field

from pipeline.sections.base import Positive, PositiveFloat, Section
from trainers.tdmpc2.config import GROUP, PUBLISHED, Scales, Settings, Sizes

Weight = Annotated[float, Field(ge=0)]


class TdMpc2Sizes(Section):
    encoder: Positive
    encoder_layers: Annotated[int, Field(ge=2)]
    latent: Annotated[int, Field(gt=0, multiple_of=GROUP)]
    mlp: Positive
    q: Annotated[int, Field(ge=2)]
    channels: Positive


class TdMpc2Loss(Section):
    consistency: Weight
    reward: Weight
    value: Weight
    rho: Annotated[float, Field(gt=0, le=1)]
    entropy: Weight


class TdMpc2(Section):
    size: Literal["custom", "1m", "5m", "19m", "48m", "317m"]
    custom: TdMpc2Sizes
    frames: Positive
    horizon: Positive
    discount: Annotated[float, Field(ge=0, lt=1)]
    updates: Positive
    batch: Positive
    learning_rate: PositiveFloat
    encoder_rate: PositiveFloat
    clip: PositiveFloat
    loss: TdMpc2Loss

    @property
    def length(self) -> int:
        """Steps of a window: a rollout, and what is stacked before it."""
        return self.horizon + self.frames

    @property
    def reads(self) -> str:
        """Which stored array it reads."""
        return "embedding"

    @property
    def reconstructs_frames(self) -> bool:
        """It has no decoder."""
        return False

    @property
    def stacked(self) -> int:
        """Rows in one observation."""
        return self.frames

    @property
    def settings(self) -> Settings:
        """What the model is built from, a published size in numbers."""
        sizes = Sizes(**self.custom.model_dump()) if self.size == "custom" else PUBLISHED[self.size]
        return Settings(sizes, self.frames, self.discount, self.encoder_rate, Scales(**self.loss.model_dump()))

    @property
    def identity(self) -> dict[str, Any]:
        """JSON-able: all that a model depends on; the sizes that are not used are left out."""
        return self.model_dump(mode="json", exclude={"size", "custom"}) | {"sizes": asdict(self.settings.sizes)}
