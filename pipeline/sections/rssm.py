"""The size of a world model: numbers, or one of DreamerV3's names."""

from typing import Annotated, Any, Literal

from pydantic import Field, model_validator

from pipeline.sections.base import Positive, Section

_SAME = {"stoch": 32, "blocks": 8}
NAMED = {  # danijar/dreamerv3, dreamerv3/configs.yaml, size1m to size200m
    name: {**_SAME, "deter": deter, "hidden": units, "classes": units // 16, "units": units}
    for name, deter, units in (
        ("1m", 512, 64), ("12m", 2048, 256), ("25m", 3072, 384), ("50m", 4096, 512), ("100m", 6144, 768), ("200m", 8192, 1024),
    )
}  # fmt: skip


class Rssm(Section):
    size: Literal["custom", "1m", "12m", "25m", "50m", "100m", "200m"]
    deter: Positive
    hidden: Positive
    stoch: Positive
    classes: Annotated[int, Field(ge=2)]
    blocks: Positive
    units: Positive

    @model_validator(mode="before")
    @classmethod
    def _a_name_replaces_the_numbers(cls, values: Any) -> Any:
        size = values.get("size") if isinstance(values, dict) else None
        named = NAMED.get(size, {}) if isinstance(size, str) else {}
        return {**values, **{key: number for key, number in named.items() if key in values}} if named else values

    @model_validator(mode="after")
    def _blocks_divide(self) -> "Rssm":
        if self.deter % self.blocks:
            raise ValueError(f"deter ({self.deter}) must be a multiple of blocks ({self.blocks})")
        return self

    @property
    def numbers(self) -> dict[str, int]:
        """The sizes that a model's configuration takes."""
        return self.model_dump(exclude={"size"})
