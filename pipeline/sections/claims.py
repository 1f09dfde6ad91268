"""`claims` and `study` in params.yaml: the effects that count, stated beforehand, and what `make study` sweeps."""

from typing import TYPE_CHECKING, Annotated, Literal

from pydantic import Field

from pipeline.sections.base import Positive, PositiveFloat, Section

if TYPE_CHECKING:
    from analysis.claims import Effects


class Claims(Section):
    score: PositiveFloat
    r2: PositiveFloat
    correlation: Annotated[float, Field(gt=0, lt=1)]
    growth: Annotated[float, Field(gt=1, allow_inf_nan=False)]
    max_return: PositiveFloat
    correction: Literal["holm", "benjamini_hochberg"]

    @property
    def effects(self) -> "Effects":
        """As analysis takes them."""
        from analysis.claims import Effects

        return Effects(**self.model_dump())


class Study(Section):
    encoders: Annotated[list[str], Field(min_length=1)] | None
    jobs: Positive
