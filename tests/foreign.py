"""Other projects' files, written by hand as their own code writes them: small, with values that tell where each one belongs."""

from pathlib import Path
from typing import Any

import h5py
import numpy as np

SIZE = 16


def images(rows: int, start: int = 0, size: int = SIZE) -> np.ndarray:
    """uint8 [rows, size, size, 3]; pixel (0, 0) of row t is ((start + t) mod 256, 0, 1), the rest is noise of its own."""
    made = np.random.default_rng(start).integers(0, 256, (rows, size, size, 3), np.uint8)
    made[:, 0, 0] = [((start + t) % 256, 0, 1) for t in range(rows)]
    return made


def npz_arrays(rows: int, start: int, terminal: bool = False) -> dict[str, Any]:
    """One V-D4RL npz episode: row t holds what arrives with image t, so row 0 has no action and no reward."""
    action = np.stack([np.arange(start, start + rows), -np.arange(rows)], axis=1).astype(np.float32)
    reward = np.arange(start, start + rows, dtype=np.float32) / 10
    action[0], reward[0] = 0, 0
    discount = np.ones(rows, np.float32)
    discount[-1] = 0 if terminal else 1
    step = np.arange(rows)
    return {
        "image": images(rows, start), "action": action, "reward": reward, "discount": discount, "is_first": step == 0,
        "is_last": step == rows - 1, "is_terminal": discount == 0,
    }  # fmt: skip


def write_npz_folder(folder: Path, episodes: int = 4, rows: int = 6) -> list[dict[str, Any]]:
    """A folder of npz episodes in the order of their names; returns their arrays."""
    folder.mkdir(parents=True)
    made = [npz_arrays(rows + number % 2, 20 * number + 1, terminal=number == 1) for number in range(episodes)]
    for number, arrays in enumerate(made):
        np.savez_compressed(folder / f"2022{number:04d}T000000-abc-{len(arrays['reward'])}.npz", **arrays)
    return made


def write_vd4rl_hdf5(path: Path, made: list[dict[str, Any]], stack: int = 1) -> None:
    """V-D4RL's HDF5: episodes one after another, images channels first, step types as floats; older frames of a stack are 0."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with h5py.File(path, "w") as file:
        for name in ("action", "reward", "discount"):
            file.create_dataset(name, data=np.concatenate([arrays[name] for arrays in made]), compression="gzip")
        newest = np.concatenate([arrays["image"].transpose(0, 3, 1, 2) for arrays in made])
        older = [np.zeros_like(newest)] * (stack - 1)
        file.create_dataset("observation", data=np.concatenate([*older, newest], axis=1), compression="gzip")
        steps = [np.where(a["is_first"], 0.0, np.where(a["is_last"], 2.0, 1.0)) for a in made]
        file.create_dataset("step_type", data=np.concatenate(steps), compression="gzip")


def write_robomimic(
    path: Path, lengths: tuple[int, ...] = (5, 4, 6), next_obs: bool = True, masks: dict[str, list[str]] | None = None
) -> None:
    """Transitions: actions[t] = t + 1 and rewards[t] = (t + 1) / 10 come after obs[t], whose pixel is start + t.

    The states of row t are eef (t, 10 t) and gripper t + 0.5. A success in the middle sets dones there, too.
    """
    with h5py.File(path, "w") as file:
        data = file.create_group("data")
        data.attrs["total"] = sum(lengths)
        data.attrs["env_args"] = '{"env_name": "Lift", "env_type": 1, "env_kwargs": {"control_freq": 20}}'
        for number in reversed(range(len(lengths))):  # upstream's processes finish in any order
            steps, start = lengths[number], 20 * number
            demo = data.create_group(f"demo_{number}")
            demo.attrs["num_samples"] = steps
            t = np.arange(steps + 1)
            demo["actions"] = np.stack([t[1:], -t[1:]], axis=1).astype(np.float64)
            demo["rewards"] = t[1:] / 10
            dones = np.zeros(steps, np.int64)
            dones[[1, -1]] = 1
            demo["dones"] = dones
            seen = {
                "agentview_image": images(steps + 1, start), "wrist_image": images(steps + 1, 100 + start),
                "robot0_eef": np.stack([t, 10 * t], axis=1).astype(np.float64), "gripper": (t + 0.5),
                "agentview_depth": np.zeros((steps + 1, SIZE, SIZE, 1), np.float32),
            }  # fmt: skip
            for name, values in seen.items():
                demo[f"obs/{name}"] = values[:-1]
                if next_obs:
                    demo[f"next_obs/{name}"] = values[1:]
        for name, demos in (masks or {}).items():
            file[f"mask/{name}"] = np.array(demos, dtype="S")
