"""Where an environment of the user's own comes from: a registered Gymnasium id, or a function in a file or module.

Pendulum-v1, package.module:Id-v0    an id, as `gymnasium.make` understands it
pipeline/own/point.py:Point          FILE.py:FUNCTION (or a class), run on purpose: it is the user's own code
package.module:function              the same in a module that can be imported from here
"""

import importlib
import importlib.util
import inspect
import json
import re
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import Any

import gymnasium

from datasets.errors import UserError
from datasets.manifest import sha256_file
from pipeline.sim.gl import choose_gl

_ID = re.compile(r"-v\d+$")
_RGB = "rgb_array"


@dataclass(frozen=True)
class Source:
    """One entry of `environments` in params.yaml, hashable and picklable; `kwargs` as JSON."""

    name: str
    make: str
    kwargs: str = "{}"

    @property
    def key(self) -> str:
        """What errors call it."""
        return f"environments.{self.name}"

    @property
    def file(self) -> Path | None:
        """The file that `make` names, where it names one."""
        path, colon, _ = self.make.rpartition(":")
        return Path(path) if colon and path.endswith(".py") else None


def open_source(source: Source, rendered: bool) -> "gymnasium.Env[Any, Any]":
    """The environment, as its author made it.

    Args:
        rendered: whether it is asked for pictures (`render_mode: rgb_array`, where it takes one).

    Raises:
        UserError: it cannot be found, imported or made.
    """
    choose_gl()  # MuJoCo, where the environment needs it, reads the choice when it is imported
    made: Any
    try:
        made = _maker(source)(**json.loads(source.kwargs), **({"render_mode": _RGB} if rendered and _takes_mode(source) else {}))
    except UserError:
        raise
    except Exception as error:  # a user's code raises what it likes
        raise UserError(f"{source.key}: {source.make} cannot be made: {_said(error)}") from None
    if not isinstance(made, gymnasium.Env):
        raise UserError(f"{source.key}: {source.make} gives a {type(made).__name__}, not a gymnasium.Env")
    return made


def source_identity(source: Source) -> dict[str, Any]:
    """What tells that a source is another: its entry, and sha256 of its file and of the file that defines the environment.

    Raises:
        UserError: as `open_source`.
    """
    env = open_source(source, rendered=False)
    try:
        found = inspect.getsourcefile(type(env.unwrapped))
    except TypeError:  # compiled
        found = None
    files = [path for path in (source.file, Path(found) if found else None) if path is not None and path.is_file()]
    env.close()
    return {"make": source.make, "kwargs": json.loads(source.kwargs), "files": sorted({sha256_file(path) for path in files})}


def _registered(source: Source) -> bool:
    return ":" not in source.make or bool(_ID.search(source.make))


def _takes_mode(source: Source) -> bool:
    return _registered(source) or "render_mode" in inspect.signature(_maker(source)).parameters


def _maker(source: Source) -> Callable[..., Any]:
    if _registered(source):
        # the length of an episode is collect.episode_steps, not the id's registered limit
        return lambda **kwargs: gymnasium.make(source.make, **{"max_episode_steps": -1} | kwargs)
    place, _, attribute = source.make.rpartition(":")
    try:
        module = _load(source.file) if source.file is not None else importlib.import_module(place)
    except FileNotFoundError as error:
        raise UserError(f"{source.key}: {error.filename} is missing; set make to FILE.py:FUNCTION") from None
    except Exception as error:
        raise UserError(f"{source.key}: {place} cannot be imported: {_said(error)}") from None
    made = getattr(module, attribute, None)
    if not callable(made):
        raise UserError(f"{source.key}: {place} has no function or class {attribute!r}")
    return made


def _load(path: Path) -> ModuleType:
    if not path.is_file():
        raise FileNotFoundError(2, "missing", str(path))
    name = f"environments_of_{path.stem}"
    spec = importlib.util.spec_from_file_location(name, path)
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module  # dataclasses look themselves up there
    spec.loader.exec_module(module)
    return module


def _said(error: Exception) -> str:
    return f"{type(error).__name__}: {(str(error).splitlines() or ['no reason given'])[0]}"
