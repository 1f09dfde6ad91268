"""What only a GPU can show; skipped without one. docs/gpu.md has the command."""

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from datasets.embedding_shards import ARRAY, EmbeddingWriter, Layout
from datasets.mapped import MappedRows
from tests.trainers.killing import KilledError, until
from tests.trainers.test_feed import BATCH, DATA, LENGTH, _rows, _sampler
from tests.trainers.test_together import DINO, RSSM, TD, _member
from trainers.arithmetic import set_arithmetic
from trainers.data import Rows
from trainers.feed import HeldFeed, MappedFeed, Part
from trainers.offline import Member, OfflineTrainer, Settings
from trainers.worldmodel import WorldModel
from trainers.worldmodel.types import each

pytestmark = pytest.mark.skipif(not torch.cuda.is_available(), reason="there is no GPU")

GPU = torch.device("cuda")
FUSED = replace(RSSM, deter=64, hidden=32, stoch=4, classes=8, blocks=2, units=32)  # in sizes that the kernels take
CONFIGS = {
    "dreamerv3 in kernels": FUSED,
    "dreamerv3 in torch's operations": RSSM,
    "dreamerv3 of frames": replace(RSSM, kind="pixels", observation_shape=(32, 32, 3)),
    "tdmpc2": TD,
    "tdmpc2 of frames": replace(TD, kind="pixels", observation_shape=(40, 40, 3)),
    "dinowm": DINO,
}
UPDATES = 25


@pytest.fixture(autouse=True)
def _whole_float32() -> Iterator[None]:
    set_arithmetic(torch.get_num_threads(), "fp32")
    yield
    set_arithmetic(torch.get_num_threads(), "fp32")


@pytest.fixture(params=list(CONFIGS))
def config(request: pytest.FixtureRequest):
    return CONFIGS[request.param]


def _on_gpu(member: Member) -> Member:
    feed = member.feed
    assert isinstance(feed, HeldFeed)
    rows = type(feed._rows)._make(each(lambda values: values.to(GPU), feed._rows))
    return member._replace(model=member.model.to(GPU), feed=HeldFeed(rows, feed._sampler, feed._windows[0].shape[1], "cuda"))


def _trainer(configs, checkpoint: Path, precision="fp32", seeds=None) -> OfflineTrainer:
    members = [_on_gpu(_member(config, seed)) for config, seed in zip(configs, seeds or range(len(configs)), strict=True)]
    return OfflineTrainer(members, Settings(UPDATES, 1e-3, 1.0, 10, warmup=5, precision=precision), checkpoint)


def _close(one: Member, other: Member) -> None:
    own, others = one.model.state_dict(), other.model.state_dict()
    for name, value in own.items():
        torch.testing.assert_close(others[name], value, rtol=1e-3, atol=1e-5, msg=lambda text, n=name: f"{n}: {text}")


def test_updates_as_one_graph_are_the_plain_updates(tmp_path: Path, config, monkeypatch: pytest.MonkeyPatch):
    graph = _trainer([config], tmp_path / "graph.pt")
    graph.run()
    monkeypatch.setattr("trainers.graph._WARM", 10**9)
    plain = _trainer([config], tmp_path / "plain.pt")
    plain.run()
    assert graph._update._run.captured
    assert not plain._update._run.captured
    _close(graph.members[0], plain.members[0])


@pytest.mark.parametrize("count", [1, 3])
@pytest.mark.parametrize("precision", ["fp32", "bf16"])
def test_once_it_is_a_graph_nothing_waits_for_the_gpu(tmp_path: Path, config, count: int, precision: str):
    trainer = _trainer([config] * count, tmp_path / "c.pt", precision)

    def watched(todo: range) -> Iterator[int]:
        for update in todo:
            torch.cuda.set_sync_debug_mode("error" if update in range(12, 20) else "default")
            yield update

    try:
        trainer.run(watched)
    finally:
        torch.cuda.set_sync_debug_mode("default")
    assert trainer._update._run.captured


def test_models_as_one_graph_end_as_if_alone(tmp_path: Path, config):
    together = _trainer([config] * 3, tmp_path / "together.pt")
    together.run()
    for seed in range(3):
        alone = _trainer([config], tmp_path / f"{seed}.pt", seeds=[seed])
        alone.run()
        _close(alone.members[0], together.members[seed])


@pytest.mark.parametrize("count", [1, 2])
def test_killed_and_resumed_it_ends_as_if_it_had_not_been(tmp_path: Path, config, count: int):
    whole = _trainer([config] * count, tmp_path / "whole.pt")
    whole.run()
    with pytest.raises(KilledError):
        _trainer([config] * count, tmp_path / "resumed.pt").run(until(23))
    resumed = _trainer([config] * count, tmp_path / "resumed.pt")
    assert resumed.update == 20
    resumed.run()
    for one, other in zip(whole.members, resumed.members, strict=True):
        _close(one, other)


def test_losses_and_gradients_are_those_of_the_cpu(config):
    member = _member(config, 0)
    batch, noise = member.feed.next(), member.model.draw(4, 8, torch.Generator().manual_seed(0))
    results = []
    for device in (torch.device("cpu"), GPU):
        model = member.model.to(device)
        model.zero_grad()
        carried: object = ()
        values = []
        for of in model.groups():
            own_batch = type(batch)._make(each(lambda v, d=device: v.to(d), batch))
            own_noise = type(noise)._make(value.to(device) for value in noise)
            loss = model.minimised(of, own_batch, own_noise, carried)
            carried = loss.carried
            loss.value.backward()
            values.append(loss.value.detach().cpu())
        grads = {name: p.grad.cpu().clone() for name, p in model.named_parameters() if p.grad is not None}
        results.append((values, grads))
    (losses, grads), (gpu_losses, gpu_grads) = results
    torch.testing.assert_close(gpu_losses, losses, rtol=1e-4, atol=1e-5)
    for name, grad in grads.items():
        torch.testing.assert_close(gpu_grads[name], grad, rtol=2e-3, atol=1e-5, msg=lambda text, n=name: f"{n}: {text}")


@pytest.mark.parametrize("count", [1, 3])
def test_products_in_bfloat16_stay_near_float32(tmp_path: Path, config, count: int):
    losses = []
    for precision in ("fp32", "bf16"):
        set_arithmetic(torch.get_num_threads(), precision)
        trainer = _trainer([config] * count, tmp_path / f"{precision}.pt", precision)
        trainer.run()
        losses.append([p.value for p in trainer.points[0] if p.metric == "loss"])
    assert losses[0] != losses[1]
    assert losses[1] == pytest.approx(losses[0], rel=0.03)


def test_windows_read_ahead_from_a_map_train_the_same_model(tmp_path: Path):
    """While an update is made a graph, a thread goes on reading."""
    values = np.random.default_rng(0).normal(size=(len(DATA.reward), 6)).astype(np.float16)
    EmbeddingWriter(tmp_path, Layout(len(values), (6,), "float16", 16, len(values)), {}).write(0, values)
    config = replace(FUSED, observation_shape=(6,), action_dim=DATA.action.shape[1])
    parts = [Part(DATA, MappedRows(tmp_path / ARRAY))]
    feeds = [MappedFeed(parts, _sampler(1), BATCH, LENGTH, "cuda"), HeldFeed(_gpu_rows(values), _sampler(1), LENGTH, "cuda")]
    members = []
    for number, feed in enumerate(feeds):
        torch.manual_seed(0)
        member = Member(WorldModel(config).to(GPU), feed, 0)
        OfflineTrainer([member], Settings(UPDATES, 1e-3, 1.0, 10, warmup=5), tmp_path / f"{number}.pt").run()
        members.append(member)
    _close(*members)


def _gpu_rows(values: np.ndarray) -> Rows:
    return Rows._make(each(lambda part: part.to(GPU), _rows(DATA, values)))
