"""The section about DINO-WM's predictor."""

from typing import Annotated, Any, Literal

from pydantic import Field, model_validator

from pipeline.sections.base import Positive, PositiveFloat, Section
from trainers.dinowm.config import Settings


class DinoWm(Section):
    reads: Literal["tokens", "embedding"]
    frames: Positive
    action_width: Positive
    depth: Positive
    heads: Positive
    head_width: Positive
    mlp: Positive
    reward: Annotated[float, Field(ge=0)]
    updates: Positive
    batch: Positive
    length: Annotated[int, Field(ge=2)]
    learning_rate: PositiveFloat
    clip: PositiveFloat

    @model_validator(mode="after")
    def _whole_pieces(self) -> "DinoWm":
        if self.length % (self.frames + 1):
            raise ValueError(f"length ({self.length}) must be a multiple of frames + 1 ({self.frames + 1})")
        return self

    @property
    def reconstructs_frames(self) -> bool:
        """It has no decoder."""
        return False

    @property
    def stacked(self) -> int:
        """Rows in one observation."""
        return 1

    @property
    def settings(self) -> Settings:
        """What the model is built from."""
        return Settings(self.frames, self.action_width, self.depth, self.heads, self.head_width, self.mlp, self.reward)

    @property
    def identity(self) -> dict[str, Any]:
        """JSON-able: all that a model depends on."""
        return self.model_dump(mode="json")
