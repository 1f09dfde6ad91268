"""The section about live metrics."""

from typing import Annotated

from pydantic import Field

from pipeline.sections.base import Section


class Track(Section):
    dvclive: bool
    tensorboard: bool
    wandb: Annotated[str, Field(min_length=1)] | None  # a project's name
