"""Checkpoints in an upstream's own layout, filled by rule instead of by training: tests/oracles/NAME.json says with what.

Each tensor's entry is [shape, dtype, rule, ...]. Rules "n" and "abs" draw from PCG64 seeded with the crc32 of the tensor's full
name: u = (raw >> 11) / 2**53, z = (u - 0.5) * sqrt(12) (mean 0, variance 1); the value is a + b * z, or a + b * |z|. "const" is
c, "values" a list, "arange" counts from 0, "kmask" is 1 but for the middle third. Values are rounded to float32, then to the
tensor's dtype. No distribution method of any library is used, so the bytes stay the same across versions.
"""

import json
import warnings
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import nn

ORACLES = Path(__file__).parent / "oracles"
State = dict[str, torch.Tensor]


def spec_of(name: str) -> dict[str, Any]:
    """What tests/oracles says about encoder `name`."""
    return json.loads((ORACLES / f"{name}.json").read_text())


def images() -> list[np.ndarray]:
    """The four test images, uint8 [H, W, 3], of different sizes."""
    with np.load(ORACLES / "images.npz") as held:
        return [held[key] for key in sorted(held.files)]


def _draw(key: str, count: int) -> np.ndarray:
    raw = np.random.PCG64(zlib.crc32(key.encode())).random_raw(count)
    return ((np.asarray(raw, np.uint64) >> np.uint64(11)).astype(np.float64) / 2.0**53 - 0.5) * np.sqrt(12.0)


def _kmask(count: int) -> np.ndarray:
    mask = np.ones(count)
    mask[count // 3 : 2 * count // 3] = 0
    return mask


def fill(key: str, shape: list[int], dtype: str, rule: str, *values: Any) -> torch.Tensor:
    """One tensor by its rule."""
    count = int(np.prod(shape))
    made: dict[str, Callable[[], np.ndarray]] = {
        "n": lambda: values[0] + values[1] * _draw(key, count),
        "abs": lambda: values[0] + values[1] * np.abs(_draw(key, count)),
        "const": lambda: np.full(count, values[0], np.float64),
        "values": lambda: np.asarray(values[0], np.float64),
        "arange": lambda: np.arange(count, dtype=np.float64),
        "kmask": lambda: _kmask(count),
    }
    kind: torch.dtype = getattr(torch, dtype)
    array = made[rule]().astype(np.float32 if kind.is_floating_point else np.int64).reshape(shape)
    return torch.from_numpy(array).to(kind)


def state_of(spec: dict[str, Any]) -> State:
    """The whole state dict of a fixture."""
    return {key: fill(key, *entry) for key, entry in spec["keys"].items()}


def write_checkpoint(spec: dict[str, Any], folder: Path) -> Path:
    """Write a fixture's file in its upstream's container; returns its path."""
    container, state = spec["container"], state_of(spec)
    path = folder / (spec["name"] + (".safetensors" if container["format"] == "safetensors" else ".pt"))
    if container["format"] == "safetensors":
        from safetensors.torch import save_file

        save_file(state, path, metadata={"format": "pt"})
    elif container["format"] == "torchscript":
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", DeprecationWarning)  # TorchScript is deprecated, OpenAI's archives stay
            torch.jit.save(torch.jit.script(_tree(state)), path)
    else:
        held: Any = state
        for key in reversed(container.get("wrap", [])):
            held = {key: held}
        held = {**container.get("beside", {}), **held}
        torch.save((held, {}) if container.get("tuple") else held, path)
    return path


class _Node(nn.Module):
    pass


def _tree(state: State) -> nn.Module:
    """Nested empty modules that carry tensors under the names of `state`."""
    root = _Node()
    for key, value in state.items():
        *parents, last = key.split(".")
        node: nn.Module = root
        for parent in parents:
            if parent not in node._modules:
                node.add_module(parent, _Node())
            node = node.get_submodule(parent)
        if value.is_floating_point():
            node.register_parameter(last, nn.Parameter(value, requires_grad=False))
        else:
            node.register_buffer(last, value)
    return root
