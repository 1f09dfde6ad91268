"""Training shared by processes: two of them under torchrun against one with the same global batch; CPUs, gloo."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from tests.synthetic import ROOT

LEARN = """
import json, sys
from dataclasses import replace
from pathlib import Path

import torch

from datasets.windows import WindowSampler, launched
from tests.trainers.test_together import BATCH, DINO, LENGTH, OPTIONS, RSSM, _member
from trainers import offline
from trainers.feed import HeldFeed
from trainers.processes import joined, told
from trainers.worldmodel import LossScales

offline.LOG_EVERY = 1
out, (rank, world) = Path(sys.argv[1]), launched()
torch.set_num_threads(1)
configs = OPTIONS | {"dinowm": DINO, "compared": replace(RSSM, loss=LossScales(infonce=0.5, barlow=0.01))}


def learn(name):
    member = _member(configs[name], 0)
    own = member.feed
    sampler = WindowSampler(own._sampler._starts, 2 * BATCH, 0, rank=rank, world=world)
    feed = HeldFeed(own._rows, sampler, LENGTH)
    settings = offline.Settings(20, 1e-3, 1.0, 8, warmup=5)
    trainer = offline.OfflineTrainer([member._replace(feed=feed)], settings, out / f"{name}.pt", rank, world)
    trainer.run()
    torch.save(member.model.state_dict(), out / f"{name}-{rank}.weights")
    return [[point.metric, point.value] for point in trainer.points[0]]


if world == 1:
    made = {name: learn(name) for name in configs}
else:
    with joined("cpu"):
        made = {name: learn(name) for name in configs}
        told([None])
(out / f"points-{rank}.json").write_text(json.dumps(made))
"""


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> dict[int, Path]:
    """Folders of what one process learned, and what two did."""
    folders = {}
    for world in (1, 2):
        folders[world] = out = tmp_path_factory.mktemp(f"world{world}")
        (out / "learn.py").write_text(LEARN)
        start = ["-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2"] if world == 2 else []
        command = [sys.executable, *start, str(out / "learn.py"), str(out)]
        environment = os.environ | {"PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"}
        done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, timeout=300)
        assert done.returncode == 0, done.stderr
    return folders


NAMES = ["dreamerv3", "dreamerv3, mlp, no decoder", "tdmpc2", "dinowm", "compared"]


@pytest.mark.parametrize("name", NAMES)
def test_two_processes_have_the_losses_of_one(runs: dict[int, Path], name: str):
    one, first, second = (json.loads((runs[w] / f"points-{r}.json").read_text())[name] for w, r in ((1, 0), (2, 0), (2, 1)))
    assert first == second  # metrics are averaged over the processes
    assert len(one) == len(first) and {metric for metric, _ in one} >= {"loss", "gradient_norm"}
    for (metric, value), (_, shared) in zip(one, first, strict=True):
        assert shared == pytest.approx(value, rel=1e-5, abs=1e-6), metric


@pytest.mark.parametrize("name", NAMES)
def test_and_end_in_the_same_weights(runs: dict[int, Path], name: str):
    one, first, second = (torch.load(runs[w] / f"{name}-{r}.weights", weights_only=True) for w, r in ((1, 0), (2, 0), (2, 1)))
    for key, value in one.items():
        assert torch.equal(first[key], second[key])
        torch.testing.assert_close(first[key], value, rtol=1e-3, atol=1e-5)


def test_the_first_alone_keeps_a_checkpoint(runs: dict[int, Path]):
    one, two = (torch.load(runs[world] / "dreamerv3.pt", weights_only=True) for world in (1, 2))
    assert one["update"] == two["update"] == 16
    assert one["samplers"] == two["samplers"]
