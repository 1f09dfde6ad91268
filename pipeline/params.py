"""`params.yaml`, typed and validated once: a wrong key, type or range is one clear line before any work starts."""

import difflib
import json
import re
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal, get_origin

from pydantic import BaseModel, Field, ValidationError, model_validator
from ruamel.yaml import YAML, YAMLError

from datasets.errors import UserError
from pipeline.encoders.registry import TIMM, TRANSFORMERS, canonical, info_of, selectable_names
from pipeline.sections.base import Section, Seed, known
from pipeline.sections.claims import Claims, Study
from pipeline.sections.data import QUALITIES, Collect, Compute, Environment, Import, Quality, Render
from pipeline.sections.learning import Custom, Encode, Evaluate, Finetune, Pretrain, Report, Train
from pipeline.sections.track import Track
from pipeline.sim.names import SIZE, TASKS

if TYPE_CHECKING:
    from pipeline.sim.source import Source

Algorithm = Literal["dreamerv3", "tdmpc2", "dinowm"]


class Params(Section):
    preset: str
    encoder: str
    tasks: Annotated[list[str], Field(min_length=1)]
    algorithms: Annotated[list[Algorithm], Field(min_length=1)]
    seed: Seed
    weights: dict[str, str | None]
    custom: dict[str, Custom]
    imports: dict[str, Import]
    environments: dict[str, Environment]
    compute: Compute
    track: Track
    collect: Collect
    render: Render
    pretrain: Pretrain
    encode: Encode
    train: Train
    evaluate: Evaluate
    finetune: Finetune
    report: Report
    claims: Claims
    study: Study

    @property
    def references(self) -> list[str]:
        """Names of the representations every run is compared with, then the selected one, without repetition."""
        return list(dict.fromkeys([self.encoder, "state", "scratch", "random", "autoencoder"]))

    def source_of(self, task: str) -> "Source | None":
        """Where the environment of a task of `environments` comes from; None for other tasks."""
        if (own := self.environments.get(task)) is None:
            return None
        from pipeline.sim.source import Source

        return Source(task, own.make, json.dumps(own.kwargs, sort_keys=True))

    def draws(self, task: str) -> bool:
        """Whether a task is dm_control's: its states can be drawn again, under any look. Others have one, the default."""
        return task not in self.imports and task not in self.environments

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
    def _frames_are_large_enough(self) -> "Params":
        side, rendered = (info.side if (info := info_of(self.encoder)) else None), set(self.tasks) - set(self.imports)
        if side is not None and rendered and self.render.size < side:
            raise ValueError(f"render.size is below {side}, which {self.encoder} shrinks frames to: raise it, or select scratch")
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
            if not custom.base.startswith((TIMM, TRANSFORMERS)) and ":" not in custom.base:  # else another library's, or a class
                known("custom." + name + ".base", custom.base, selectable_names(), "encoder")
        names = [*selectable_names(), *self.custom]
        known("encoder", self.encoder, names, "encoder")
        for name in self.weights:
            known(f"weights.{name}", name, names, "encoder")
        if self.encoder not in self.weights:
            raise ValueError(f"weights.{self.encoder} is missing: add it (null: its hub, or made here)")
        for name in self.study.encoders or ():
            known("study.encoders", name, names, "encoder")
        for key, values in (("tasks", self.tasks), ("algorithms", self.algorithms), ("train.seeds", self.train.seeds)):
            if len(set(values)) != len(values):
                raise ValueError(f"{key}: {values} repeats a value")
        return self

    @model_validator(mode="after")
    def _tasks_exist(self) -> "Params":
        for key, own in (("imports", self.imports), ("environments", self.environments)):
            for name in own:
                if not re.fullmatch(r"[a-z0-9_]+", name):
                    raise ValueError(f"{key}.{name}: a name may hold a-z, 0-9 and _ only")
                if name in TASKS:
                    raise ValueError(f"{key}.{name}: that is a task of dm_control's suite; choose another name")
        for name in self.environments:
            if name in self.imports:
                raise ValueError(f"environments.{name}: imports has a task of that name; choose another name")
        for task in self.tasks:
            known("tasks", task, [*self.imports, *self.environments, *TASKS], "task")
        return self


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


__all__ = ["QUALITIES", "Import", "Params", "Quality", "canonical", "load_params", "parse_params"]
