"""The bound that an update is measured against counts the model's arithmetic, no more and no less."""

import torch
from torch.utils.flop_counter import FlopCounterMode

from benchmarks.bench_update import ACTION, EMBEDDING, config, update_flops
from trainers.worldmodel import Batch, WorldModel


def test_the_closed_formula_is_what_torch_counts():
    torch.manual_seed(0)
    model, b, length = WorldModel(config()), 2, 3
    flags = torch.zeros(b, length, dtype=torch.bool)
    batch = Batch(torch.randn(b, length, EMBEDDING), torch.rand(b, length, ACTION), torch.rand(b, length), flags, flags)
    with FlopCounterMode(display=False) as counter:
        model.loss(batch)
    assert 3 * counter.get_total_flops() == update_flops(b * length)
