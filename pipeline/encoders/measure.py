"""What a published encoder costs, measured without its weights or any memory: on the meta device.

    python -m pipeline.encoders --measure

rewrites `costs.py`, which the property table reads without importing torch.
"""

from dataclasses import dataclass
from pathlib import Path

import torch
from torch.utils.flop_counter import FlopCounterMode

from pipeline.encoders.entry import Entry
from pipeline.encoders.networks.network import Network

_HEAD = '"""Of each published encoder: GFLOP of one frame at its own resolution, millions of parameters (measure.py)."""'


@dataclass(frozen=True)
class Measured:
    """Size of the vector, shape of the token grid, GFLOP of one frame, millions of parameters."""

    dim: int
    grid: tuple[int, ...] | None
    gflop: float
    parameters: float


def meta_network(entry: Entry) -> Network:
    """The encoder's network, ready to run, on the meta device: shapes without values."""
    network = entry.network()
    network.configure(None, None)
    return network.to("meta").eval().requires_grad_(False)


def measure(entry: Entry) -> Measured:
    """What `embed` and `tokens` of one frame give and cost."""
    network, size = meta_network(entry), entry.preprocess.size
    with FlopCounterMode(display=False) as counter:
        vector, tokens = network(torch.empty(1, 3, size, size, device="meta"))
    grid = None if tokens is None else tuple(tokens.shape[1:])
    parameters = sum(p.numel() for p in network.parameters())
    return Measured(vector.shape[-1], grid, round(counter.get_total_flops() / 1e9, 2), round(parameters / 1e6, 2))


def write_costs(entries: list[Entry]) -> None:
    """Measure every entry and rewrite `costs.py`."""
    rows = "".join(
        f'    "{entry.info.name}": {(found.gflop, found.parameters)},\n' for entry in entries for found in [measure(entry)]
    )
    Path(__file__).with_name("costs.py").write_text(f"{_HEAD}\n\nCOSTS = {{\n{rows}}}\n")
