"""The command that shows a recording: stored frames side by side, step by step; a user's mistake is one line."""

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import polars as pl
import pytest
from PIL import Image, ImageSequence

from datasets.manifest import write_manifest
from tests.analysis.planted import SMALL, frame, recordings, write_tree
from tests.synthetic import ROOT, TASK


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("recordings")
    write_tree(root, SMALL)
    return root


def _run(project: Path, *arguments: str, encoder: str = "scratch") -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "pipeline.recordings", "--task", TASK, "--encoder", encoder, "--algorithm", "dreamerv3"]
    environment = os.environ | {"PYTHONPATH": str(ROOT)}
    return subprocess.run([*command, *arguments], cwd=project, env=environment, capture_output=True, text=True, timeout=120)


def _holds(picture: Image.Image, wanted: np.ndarray, factor: int) -> bool:
    """Whether the frame is in the picture, enlarged pixel by pixel."""
    pixels = np.asarray(picture.convert("RGB"))
    large = wanted.repeat(factor, 0).repeat(factor, 1)
    side = len(large)
    corners = np.argwhere((pixels[: -side + 1, : -side + 1] == large[0, 0]).all(-1))
    return any((pixels[y : y + side, x : x + side] == large).all() for y, x in corners)


def test_every_step_shows_what_happened_beside_what_was_found(project: Path):
    done = _run(project, "--out", "scratch.webp")
    assert done.returncode == 0, done.stderr
    table = recordings("scratch", SMALL)
    with Image.open(project / "scratch.webp") as file:
        pictures = [picture.copy() for picture in ImageSequence.Iterator(file)]
    assert len(pictures) == SMALL.steps
    for step in (1, 25):
        row = table.row(step - 1, named=True)
        assert _holds(pictures[step - 1], frame(row["episode"], step), 3)
        assert _holds(pictures[step - 1], frame(row["nearest_episode"], row["nearest_t"]), 3)
        assert not _holds(pictures[step - 1], frame(row["episode"], step + 1), 3)


@pytest.mark.parametrize(("name", "pictures"), [("a.gif", SMALL.steps), ("b.png", 1)])
def test_other_files(project: Path, name: str, pictures: int):
    done = _run(project, "--out", name)
    assert done.returncode == 0, done.stderr
    with Image.open(project / name) as file:
        assert getattr(file, "n_frames", 1) == pictures


@pytest.mark.parametrize(
    ("arguments", "encoder", "words"),
    [
        (["--out", "a.mp4"], "scratch", "a.mp4: ends in none of .gif, .webp, .png"),
        (["--out", "a.gif", "--seed", "7"], "scratch", "--seed 7: results/parts/scratch/cartpole_swingup/dreamerv3 holds 0"),
        (["--out", "a.gif"], "dinov2", "results/parts/dinov2/cartpole_swingup/dreamerv3 is missing; there are"),
    ],
)
def test_a_mistake_is_one_line(project: Path, arguments: list[str], encoder: str, words: str):
    done = _run(project, *arguments, encoder=encoder)
    assert done.returncode == 1 and len(done.stderr.splitlines()) == 1
    assert done.stderr.startswith("error: ") and words in done.stderr


def test_a_frame_that_was_not_rendered_is_named(project: Path):
    folder = project / "results/parts/state" / TASK / "dreamerv3"
    table = pl.read_parquet(folder / "recordings.parquet")
    table.with_columns(nearest_t=pl.lit(999, pl.Int32)).write_parquet(folder / "recordings.parquet")
    write_manifest(folder, {"stage": "evaluate"})
    done = _run(project, "--out", "a.gif", encoder="state")
    assert done.returncode == 1 and "has no frame of episode 4, step 999" in done.stderr
