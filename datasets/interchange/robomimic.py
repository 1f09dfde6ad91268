"""robomimic-style HDF5: `data/demo_N` groups with obs/KEY, actions, rewards, dones, usually next_obs/KEY, and filter keys.

A demonstration's row t is a transition: actions[t] was taken at obs[t] and led to next_obs[t], rewards[t] and dones[t]. Encore
shifts these by one row; the last next_obs adds the row that the last action led to (a file without next_obs loses it, and
its last action and reward with it). `mask/valid` lists what is held out, `mask/train` what to train on.
Source: ARISE-Initiative/robomimic, docs/datasets/overview.md, robomimic/scripts/dataset_states_to_obs.py
(`extract_trajectory`), robomimic/scripts/split_train_val.py.
"""

import json
import re
from typing import Any

import h5py
import numpy as np
from numpy.typing import NDArray

from datasets.episodes import EpisodeFacts, Meta
from datasets.errors import DataError
from datasets.interchange.convert import arrive_together, reading, square_frames
from datasets.interchange.episodes import ImportedEpisode, Selection, held_out

EXPECTED = "a robomimic HDF5 file with groups data/demo_N, each with actions, rewards, dones and obs"


class RobomimicEpisodes:
    """Satisfies `EpisodeSource`: demonstrations by number, held-out ones last."""

    def __init__(self, chosen: Selection) -> None:
        self._path = chosen.path
        self.files = [chosen.path]
        with reading(chosen.path, EXPECTED), h5py.File(chosen.path, "r") as file:
            demos = sorted((name for name in file["data"] if re.fullmatch(r"demo_\d+", name)), key=_number)
            masks = {name: _names(file, f"mask/{name}") for name in ("train", "valid")}
            self.camera = _camera(chosen, file[f"data/{demos[0]}/obs"]) if demos else ""
            self.meta: Meta = _timing(file["data"].attrs.get("env_args"))
        if not demos:
            raise DataError(f"{chosen.path} has no group data/demo_0; it is empty or of another format")
        self._demos, held = _split(chosen, demos, masks)
        self.facts = [EpisodeFacts(chosen.quality, -1, last) for last in held]

    def read(self, number: int) -> ImportedEpisode:
        where = f"{self._path}, {self._demos[number]}"
        with reading(self._path, EXPECTED), h5py.File(self._path, "r") as file:
            demo = file[f"data/{self._demos[number]}"]
            given = {name: np.asarray(demo[name][:]) for name in ("actions", "rewards", "dones")}
            steps = len(given["actions"])
            if any(len(values) != steps for values in given.values()) or len(demo["obs"][self.camera]) != steps:
                raise DataError(f"{where}: actions, rewards, dones and obs differ in length; it is cut short, export it again")
            images = _with_last(demo, self.camera)
            states = [_with_last(demo, name) for name in sorted(demo["obs"]) if _is_state(demo["obs"][name])]
        rows = len(images)
        action, reward, done = (_led(where, given[name], rows) for name in ("actions", "rewards", "dones"))
        done[: rows - 1] = 0  # a success before the end does not end a demonstration
        state = [values.reshape(rows, -1).astype(np.float32) for values in states if len(values) == rows]
        if len(state) != len(states):
            raise DataError(f"{where}: obs and next_obs differ in length or keys; export it again")
        made = arrive_together(where, action, reward, done, observation=np.concatenate(state, axis=1) if state else None)
        return ImportedEpisode(made, self.facts[number], square_frames(where, images, rows))


def _led(where: str, values: NDArray[Any], rows: int) -> NDArray[Any]:
    """[rows, ...] with what arrives with a row in that row, zeros in row 0."""
    if not len(values):
        raise DataError(f"{where} has no steps; leave it out")
    return np.concatenate([np.zeros_like(values[:1]), values])[:rows]


def _with_last(demo: Any, name: str) -> NDArray[Any]:
    """obs/NAME and, where the file has it, the last of next_obs/NAME: [steps + 1, ...] or [steps, ...]."""
    before = np.asarray(demo["obs"][name][:])
    if "next_obs" not in demo or name not in demo["next_obs"]:
        return before
    return np.concatenate([before, demo["next_obs"][name][-1:]])


def _is_state(values: Any) -> bool:
    """Neither an image nor a depth map, nor text."""
    return values.ndim < 4 and values.dtype.kind in "fiub"


def _camera(chosen: Selection, observations: Any) -> str:
    """The key of the images to read."""
    keys = sorted(name for name in observations if observations[name].ndim == 4 and observations[name].dtype == np.uint8)
    if chosen.camera in keys or (chosen.camera is None and len(keys) == 1):
        return chosen.camera or keys[0]
    asked = f"camera {chosen.camera!r}" if chosen.camera else "one camera"
    raise DataError(f"{chosen.path}: {asked} expected, image keys found: {', '.join(keys) or 'none'}; set imports' camera")


def _names(file: Any, key: str) -> list[str] | None:
    if key not in file:
        return None
    return [name.decode() if isinstance(name, bytes) else str(name) for name in file[key][:]]


def _split(chosen: Selection, demos: list[str], masks: dict[str, list[str] | None]) -> tuple[list[str], list[bool]]:
    """Demonstrations in Encore's order, and whether each is held out: the file's own split, or an even one."""
    valid, train = masks["valid"], masks["train"]
    if valid is None:
        used = [name for name in demos if train is None or name in train]
        held = held_out(chosen, len(used))
    else:
        used = [name for name in demos if train is None or name in train or name in valid]
        held = [name in valid for name in used]
        if set(valid) & set(train or []) or not 0 < sum(held) < len(held):
            problem = "mask/train and mask/valid overlap, or one of them is empty or names no demonstration"
            raise DataError(f"{chosen.path}: {problem}; write these filter keys again")
    pairs = sorted(zip(held, range(len(used)), strict=True))
    return [used[number] for _, number in pairs], [last for last, _ in pairs]


def _timing(env_args: Any) -> Meta:
    """The control timestep of a simulated environment, from `data`'s attribute env_args (JSON)."""
    try:
        rate = float(json.loads(env_args)["env_kwargs"]["control_freq"])
    except (TypeError, ValueError, KeyError):
        return {}
    return {"control_timestep": 1 / rate, "action_repeat": 1} if rate > 0 else {}


def _number(name: str) -> int:
    return int(name.removeprefix("demo_"))
