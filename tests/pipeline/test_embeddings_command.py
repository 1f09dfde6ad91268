"""What people ask of the store: what is in it, is it whole, what can go; and what a study will cost."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from datasets.embedding_quality import describe, principal_components
from datasets.embedding_shards import EmbeddingWriter, Layout
from datasets.embeddings import load_embeddings
from datasets.manifest import write_manifest
from pipeline import encode, pretrain
from pipeline.params import load_params
from pipeline.plan import count
from tests.datasets.damage import flip_byte
from tests.synthetic import ROOT, TASK, enter_project, make_trajectories, write_params

DATA = make_trajectories()
FOLDER = Path("data/embeddings") / TASK / "autoencoder"


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    enter_project(tmp_path, monkeypatch, DATA)

    def small(values):
        values["encode"].update(batch=8, chunk=16, shard=64)
        values["pretrain"]["autoencoder"].update(dim=6, updates=5, batch=16)

    write_params(tmp_path, small)
    pretrain.main("autoencoder", TASK)
    encode.main("autoencoder", TASK)
    return tmp_path


def _run(module: str, *arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", module, *arguments], env=os.environ | {"PYTHONPATH": str(ROOT)}, capture_output=True, text=True
    )


def test_inspect_tells_what_made_them_and_verifies_every_byte(project: Path):
    done = _run("pipeline.embeddings", "inspect", str(FOLDER), "--picture", "embeddings.png")
    assert done.returncode == 0, done.stderr
    for word in (
        "encoder: autoencoder",
        "weights_sha256: ",
        "preprocessing: square 64",
        "126 rows of 6 float16",
        "0 rows not finite",
    ):
        assert word in done.stdout
    assert "every checksum holds" in done.stderr
    assert Path("embeddings.png").read_bytes()[:4] == b"\x89PNG"
    flip_byte(FOLDER / "default.zarr" / "embedding" / "c" / "0" / "0")
    done = _run("pipeline.embeddings", "inspect", str(FOLDER))
    assert done.returncode == 1 and "c/0/0 is corrupt" in done.stderr and "Traceback" not in done.stderr


def test_inspect_tells_of_tokens_and_what_rounding_lost(project: Path):
    def tokens(values):
        values["encode"].update(batch=8, chunk=16, shard=64)
        values["encode"]["tokens"].update(spatial=True, after_block=3, dtype="int8", shard=32)

    write_params(project, tokens)
    pretrain.main("random_vit", TASK)
    encode.main("random_vit", TASK)
    folder = FOLDER.with_name("random_vit")
    done = _run("pipeline.embeddings", "inspect", str(folder))
    assert done.returncode == 0, done.stderr
    for words in ("default tokens: 126 rows of 8x8x128 int8", "default hidden: 126 rows of 65x128 int8"):
        assert words in done.stdout
    assert done.stdout.count("int8 lost 0.") == 4  # two arrays under two looks
    for name in ("tokens", "hidden_scale"):
        file = next(path for path in (folder / "default.zarr" / name / "c").rglob("*") if path.is_file())
        flip_byte(file)
        done = _run("pipeline.embeddings", "inspect", str(folder))
        assert done.returncode == 1 and f"{file} is corrupt" in done.stderr
        flip_byte(file)  # back


def test_what_no_output_holds_is_listed_and_removed_and_nothing_else(project: Path):
    encode.main("autoencoder", TASK)
    write_params(project, lambda v: v["encode"].update(batch=8, chunk=16, shard=64, dtype="float32"))
    assert _run("pipeline.embeddings", "list").stdout.count("UNUSED") == 0
    encode.main("autoencoder", TASK)  # the output now holds others
    listed = _run("pipeline.embeddings", "list").stdout
    assert (listed.count("UNUSED"), len(listed.splitlines())) == (2, 4)
    assert _run("pipeline.embeddings", "prune").stdout.count("would remove") == 2
    assert len(_run("pipeline.embeddings", "list").stdout.splitlines()) == 4
    assert _run("pipeline.embeddings", "prune", "--yes").stdout.count("removed ") == 2
    left = _run("pipeline.embeddings", "list").stdout
    assert (left.count("UNUSED"), len(left.splitlines())) == (0, 2)
    shutil.rmtree(FOLDER)
    encode.main("autoencoder", TASK)
    assert _run("pipeline.embeddings", "inspect", str(FOLDER)).returncode == 0


def test_collapsed_dimensions_and_values_that_are_not_finite_are_counted(tmp_path: Path):
    values = np.random.default_rng(0).normal(size=(100, 6)).astype(np.float32)
    values[:, 2] = 3.0
    values[7, 0] = np.inf
    writer = EmbeddingWriter(
        tmp_path / "default.zarr", Layout(100, (6,), "float32", 10, 100), {"rows": [[0, 90]], "dtype": "float32"}
    )
    writer.write(0, values)
    write_manifest(tmp_path)
    found = describe(load_embeddings(tmp_path, "default"))
    assert (found.rows, found.constant, found.not_finite) == (90, 1, 1)
    norms = np.linalg.norm(np.delete(values[:90], 7, axis=0), axis=1)
    assert found.norm_mean == pytest.approx(norms.mean(), rel=1e-5)
    spread = np.linalg.eigvalsh(np.cov(np.delete(values[:90], 7, axis=0).T))
    assert found.effective == pytest.approx(spread.sum() ** 2 / (spread**2).sum(), rel=0.01)


def test_principal_components_carry_the_largest_variance():
    values = np.random.default_rng(0).normal(size=(500, 5)) * [5.0, 3.0, 0.1, 0.1, 0.1]
    first, second = principal_components(values).T
    assert first.std() == pytest.approx(values[:, 0].std(), rel=0.02)
    assert second.std() == pytest.approx(values[:, 1].std(), rel=0.02)
    assert abs(np.corrcoef(first, second)[0, 1]) < 1e-3


def test_the_plan_counts_what_collect_and_render_make(params_file):
    collect = {"episode_steps": 40, "action_repeat": 4, "size.severities": [0.5, 1.0]}
    collect["size.episodes"] = {"random": 1, "medium": 0, "replay": 1, "expert": 0}
    changes = {f"collect.{key}": value for key, value in collect.items()}
    small = params_file(changes | {"render.axes": ["camera", "size"], "render.severities": [0.5, 1.0]})
    found, p = count(load_params(small)), load_params(small)
    sized, shifted = 2 * 2, 2  # looks x episodes of a resized body; looks of the camera
    assert found.rows == 11 * (p.collect.episodes.total + sized)
    assert found.frames == 11 * (p.collect.episodes.total + shifted * p.collect.validation.total + sized)


def test_the_plan_counts_the_bytes_that_tokens_take(project: Path):
    from datasets.embeddings import arrays_of, load_embeddings
    from pipeline.encoders import list_encoders
    from pipeline.plan import _token_bytes

    def tokens(values):
        values["encode"].update(batch=8, chunk=16, shard=64)
        values["encode"]["tokens"].update(spatial=True, grid=4, after_block=2, dtype="int8", shard=32)

    write_params(project, tokens)
    pretrain.main("random_vit", TASK)
    encode.main("random_vit", TASK)
    folder = FOLDER.with_name("random_vit")
    stored = [load_embeddings(folder, "default", name).values for name in arrays_of(folder, "default") if name != "embedding"]
    info = next(info for info in list_encoders() if info.name == "random_vit")
    assert _token_bytes(load_params("params.yaml"), "random_vit", info) * len(DATA.reward) == sum(v.nbytes for v in stored)


def test_the_plan_is_made_without_any_data(project: Path):
    shutil.rmtree(project / "data")
    done = _run("pipeline.plan")
    assert done.returncode == 0, done.stderr
    for name in ("state", "scratch", "random_cnn", "autoencoder", "seeds of each"):
        assert name in done.stdout
    done = _run("pipeline.plan", "--gpu", "H100")
    assert done.returncode == 1 and "no measured figures" in done.stderr
