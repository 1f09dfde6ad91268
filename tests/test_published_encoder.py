"""A published representation, from a checkpoint in its authors' layout, through a whole study under real DVC."""

import json
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from tests.checkpoints import spec_of, write_checkpoint
from tests.study import dvc, make_project, tiny
from tests.synthetic import TASK

pytestmark = pytest.mark.xdist_group("published")


def few_frames(values: dict[str, Any]) -> None:
    """As few frames as a study can do with: a ViT-B takes half a second for each."""
    tiny(values)
    values["collect"].update(episode_steps=40)
    values["render"].update(axes=["texture"], severities=[1.0])
    values["render"]["train_looks"].update(axes=[])
    values["encode"].update(batch=8)
    values["finetune"].update(env_steps=20, envs=2, train_every=10, eval_every=20, eval_episodes=1)


def test_vc1_is_compared_with_the_references_from_a_local_checkpoint(tmp_path: Path):
    project = tmp_path / "clone"
    make_project(project, few_frames)
    file = write_checkpoint(spec_of("vc1_vitb"), tmp_path)
    output = dvc(project, "exp", "run", "-S", "encoder=vc1_vitb", "-S", f"weights.vc1_vitb={file}")
    ran = sorted(line.split("'")[1] for line in output.splitlines() if line.startswith("Running stage"))
    stages = [f"{stage}@vc1_vitb-{TASK}" for stage in ("encode", "pretrain", "probe")]
    stages += [f"{stage}@vc1_vitb-{TASK}-dreamerv3" for stage in ("evaluate", "finetune", "train")]
    assert ran == sorted([*stages, "report", "validate"])
    metrics = json.loads((project / "metrics.json").read_text())
    assert metrics["selected"]["encoder"] == "vc1_vitb"
    table = pl.read_parquet(project / "results" / "reward_error.parquet")
    assert set(table["encoder"].unique()) == {"vc1_vitb", "state", "scratch", "random_cnn", "autoencoder"}
    source = json.loads((project / "data" / "weights" / TASK / "vc1_vitb" / "source.json").read_text())
    assert (source["file"], source["origin"]) == (str(file), "local file")
    assert not list((project / "data" / "weights" / TASK / "vc1_vitb").glob("*.pt"))  # licensed files stay where they are
