"""The arithmetic that an update is measured by counts the model's, no more and no less, and torchrl's side does as much."""

import torch
from torch.utils.flop_counter import FlopCounterMode

from benchmarks.bench_update import ACTION, EMBEDDING, config, update_flops
from benchmarks.bench_update_torchrl import torchrl_batch, torchrl_loss
from trainers.worldmodel import Batch, WorldModel

B, LENGTH = 2, 3


def test_the_closed_formula_is_what_torch_counts():
    torch.manual_seed(0)
    model = WorldModel(config())
    flags = torch.zeros(B, LENGTH, dtype=torch.bool)
    rewards = torch.rand(B, LENGTH)
    batch = Batch(torch.randn(B, LENGTH, EMBEDDING), torch.rand(B, LENGTH, ACTION), rewards, flags, flags)
    with FlopCounterMode(display=False) as counter:
        model.loss(batch)
    assert 3 * counter.get_total_flops() == update_flops(B * LENGTH)


def test_torchrls_model_takes_the_same_arithmetic_and_the_same_loss_terms():
    torch.manual_seed(0)
    peer = torchrl_loss()
    with FlopCounterMode(display=False) as counter:
        terms, _ = peer(torchrl_batch(B, LENGTH))
    assert 3 * counter.get_total_flops() == update_flops(B * LENGTH)
    named = {name.removeprefix("loss_model_") for name in terms.keys()}  # noqa: SIM118 (a TensorDict)
    assert named == {"reco", "reward", "continue", "dynamic", "representation"}
    ours, theirs = (sum(p.numel() for p in model.parameters()) for model in (WorldModel(config()), peer))
    assert abs(theirs / ours - 1) < 1e-3
