"""What a published encoder costs, measured without its weights or any memory: on the meta device.

    python -m pipeline.encoders --measure

rewrites `costs.py`, which the property table reads without importing torch.
"""

from pathlib import Path

import torch
from torch.utils.flop_counter import FlopCounterMode

from pipeline.encoders.entry import Entry
from pipeline.encoders.networks.network import Network

_HEAD = '"""Of each published encoder: GFLOP of one frame at its own resolution, millions of parameters (measure.py)."""'


def meta_network(entry: Entry) -> Network:
    """The encoder's network, ready to run, on the meta device: shapes without values."""
    network = entry.network()
    network.configure(None, None)
    return network.to("meta").eval().requires_grad_(False)


def shapes(entry: Entry) -> tuple[int, tuple[int, ...] | None]:
    """(size of the vector, shape of the token grid or None) that the network gives at its own resolution."""
    size = entry.preprocess.size
    vector, tokens = meta_network(entry)(torch.empty(1, 3, size, size, device="meta"))
    return vector.shape[-1], None if tokens is None else tuple(tokens.shape[1:])


def cost(entry: Entry) -> tuple[float, float]:
    """(GFLOP of one frame, millions of parameters)."""
    network, size = meta_network(entry), entry.preprocess.size
    with FlopCounterMode(display=False) as counter:
        network(torch.empty(1, 3, size, size, device="meta"))
    return round(counter.get_total_flops() / 1e9, 2), round(sum(p.numel() for p in network.parameters()) / 1e6, 2)


def write_costs(entries: list[Entry]) -> None:
    """Measure every entry and rewrite `costs.py`."""
    rows = "".join(f'    "{entry.info.name}": {cost(entry)},\n' for entry in entries)
    Path(__file__).with_name("costs.py").write_text(f"{_HEAD}\n\nCOSTS = {{\n{rows}}}\n")
