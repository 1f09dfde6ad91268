"""The store of embeddings: what is there is not computed again, what made it is its name, and damage costs one shard."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch

from datasets.embedding_store import stored_entries
from datasets.embeddings import load_embeddings
from datasets.errors import DataError, UserError
from datasets.frames import load_frames_index, save_frames_index
from datasets.manifest import digest, read_manifest, write_manifest
from pipeline import encode, pretrain
from pipeline.encoding import _FromEncoder
from pipeline.params import load_params
from tests.datasets.damage import flip_byte, truncate
from tests.synthetic import ROOT, TASK, enter_project, make_trajectories, write_params

DATA = make_trajectories()  # 126 rows: shards of 64 + 62 under the default look, of 42 (the second) under the other
FOLDER = Path("data/embeddings") / TASK
NAMES = ("random", "autoencoder", "state", "scratch")


def _small(values):
    values["encode"].update(batch=8, chunk=16, shard=64)
    values["pretrain"]["autoencoder"].update(dim=6, updates=5, batch=16)


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    enter_project(tmp_path, monkeypatch, DATA)
    write_params(tmp_path, _small)
    for name in NAMES:
        pretrain.main(name, TASK)
    return tmp_path


def _encode(capsys: pytest.CaptureFixture[str], encoder: str = "random") -> str:
    """What the stage says when it runs."""
    capsys.readouterr()
    encode.main(encoder, TASK)
    return capsys.readouterr().err


def _shard(index: int, encoder: str = "random", look: str = "default") -> Path:
    return FOLDER / encoder / f"{look}.zarr" / "embedding" / "c" / str(index) / "0"


def test_what_the_store_holds_is_not_computed_again(project: Path, capsys):
    assert "168 rows in 3 shards" in _encode(capsys)
    first = digest(FOLDER / "random")
    shutil.rmtree(FOLDER)
    assert "0 rows in 0 shards" in _encode(capsys)
    assert digest(FOLDER / "random") == first


def test_what_a_killed_writer_left_is_not_published(project: Path, capsys):
    _encode(capsys)
    whole = digest(FOLDER / "random")
    entry = Path(os.environ["ENCORE_STORE"]) / "embeddings" / _ids()[0] / "values.zarr"
    for name in ("embedding/c/1/0.0123abcd.partial", "zarr.0123abcd.partial", "embedding/c/9/0"):
        (entry / name).parent.mkdir(exist_ok=True)
        (entry / name).write_bytes(b"half a shard")
    shutil.rmtree(FOLDER)
    assert "0 rows in 0 shards" in _encode(capsys)
    assert digest(FOLDER / "random") == whole


def test_a_new_look_is_the_only_one_that_is_encoded(project: Path, capsys):
    frames = Path("data/frames") / TASK
    whole = load_frames_index(frames)
    save_frames_index(type(whole)(**{**vars(whole), "sets": whole.sets[:1]}), frames)
    write_manifest(frames, {"stage": "render"})
    assert "126 rows in 2 shards" in _encode(capsys)
    save_frames_index(whole, frames)
    write_manifest(frames, {"stage": "render"})
    assert "42 rows in 1 shards" in _encode(capsys)
    assert load_embeddings(FOLDER / "random", "texture-0.50-0").rows.size == 42


@pytest.mark.parametrize("change", ["dtype", "batch", "weights"])
def test_another_ingredient_is_another_embedding(project: Path, capsys, change: str):
    before = _ids(_encode(capsys))
    if change == "weights":
        write_params(project, lambda v: (_small(v), v["pretrain"]["random"].update(dim=8)))
        pretrain.main("random", TASK)
    else:
        write_params(
            project, lambda v: (_small(v), v["encode"].update({"dtype": "float32"} if change == "dtype" else {"batch": 16}))
        )
    assert "168 rows in 3 shards" in _encode(capsys)
    assert not set(before) & set(_ids())


def _ids(_: str = "") -> list[str]:
    return list(read_manifest(FOLDER / "random")["meta"]["entries"].values())


def test_several_encoders_in_one_pass_give_what_each_gives_alone(project: Path, capsys, monkeypatch):
    for name in NAMES:
        _encode(capsys, name)
    alone = {name: digest(FOLDER / name) for name in NAMES}
    shutil.rmtree(FOLDER)
    monkeypatch.setenv("ENCORE_STORE", str(project / "another"))
    encode.main(encoders=",".join(NAMES), task=TASK)
    assert "168 rows in 3 shards" in capsys.readouterr().err
    assert not FOLDER.exists()
    for name in NAMES:
        assert "0 rows in 0 shards" in _encode(capsys, name)
    assert {name: digest(FOLDER / name) for name in NAMES} == alone


def test_a_pass_decodes_each_frame_once_whatever_the_number_of_encoders(project: Path, monkeypatch):
    from pipeline import encode_shards

    decoded = []
    original = encode_shards.read_frame_rows

    def counting(*arguments):
        for frame in original(*arguments):
            decoded.append(1)
            yield frame

    monkeypatch.setattr(encode_shards, "read_frame_rows", counting)
    encode.main(encoders="random,autoencoder,scratch", task=TASK)
    assert len(decoded) == 168


@pytest.mark.parametrize("damage", ["flipped", "truncated", "missing", "another encoder's"])
def test_damage_is_named_before_it_is_read_and_costs_one_shard(project: Path, capsys, damage: str):
    for name in ("random", "autoencoder"):
        _encode(capsys, name)
    whole, file = digest(FOLDER / "random"), _shard(1)
    if damage == "flipped":
        flip_byte(file)  # the store's own file, too: it is a hard link
    elif damage == "truncated":
        truncate(file)
    elif damage == "missing":
        file.unlink()
    else:
        shutil.copy(_shard(1, "autoencoder"), file)
    with pytest.raises(DataError) as caught:
        load_embeddings(FOLDER / "random", "default")
    assert str(file) in str(caught.value) and "\n" not in str(caught.value)
    said = _encode(capsys)
    if damage == "missing":  # here only: the store has it
        assert "0 rows in 0 shards" in said
    else:
        assert "62 rows in 1 shards" in said and "c/1/0 is not what was written" in said
    assert digest(FOLDER / "random") == whole
    load_embeddings(FOLDER / "random", "default")


def test_processes_give_the_same_bytes(project: Path, capsys, monkeypatch):
    _encode(capsys, "autoencoder")
    alone = digest(FOLDER / "autoencoder")
    monkeypatch.setenv("ENCORE_STORE", str(project / "another"))
    monkeypatch.setattr(encode, "HEAVY_S", -1)
    monkeypatch.setenv("PYTHONPATH", str(ROOT))
    write_params(project, lambda v: (_small(v), v["compute"].update(workers=2)))
    assert "168 rows in 3 shards" in _encode(capsys, "autoencoder")
    assert digest(FOLDER / "autoencoder") == alone


def test_an_embedding_that_is_not_finite_is_refused_with_its_row(project: Path, monkeypatch):
    def overflow(self, prepared, rows, wanted):
        values = np.ones((len(rows), 256), np.float32)
        values[rows == 70] = 1e6
        return {"embedding": values}

    monkeypatch.setattr(_FromEncoder, "embed", overflow)
    with pytest.raises(UserError, match="row 70 under look default is not finite in float16"):
        encode.main("random", TASK)
    assert not FOLDER.exists()


def test_out_of_memory_halves_the_frames_of_a_pass(project: Path, capsys):
    source = _FromEncoder(load_params(Path("params.yaml")), "random", TASK, 126)
    most, original = [], source._encoder.embed_pixels

    def scarce(pixels):
        if len(pixels) > 3:
            raise torch.OutOfMemoryError
        most.append(len(pixels))
        return original(pixels)

    source._encoder.embed_pixels = scarce
    frames = np.random.default_rng(0).integers(0, 256, (8, 64, 64, 3), dtype=np.uint8)
    prepared = source.prepare(frames)
    found = source.embed(prepared, np.arange(8), {"embedding"})["embedding"]
    torch.testing.assert_close(found, original(prepared), rtol=1e-5, atol=1e-6)
    assert max(most) == 2 and "2 frames at a time" in capsys.readouterr().err
    source._encoder.embed_pixels = lambda pixels: (_ for _ in ()).throw(torch.OutOfMemoryError())
    with pytest.raises(UserError, match="not even one frame"):
        source.embed(prepared, np.arange(8), {"embedding"})


def test_the_store_tells_what_outputs_still_hold(project: Path, capsys):
    _encode(capsys)
    root = Path(os.environ["ENCORE_STORE"]) / "embeddings"
    assert {folder.name: held for folder, _, _, held in stored_entries(root) if folder.name in _ids()} == dict.fromkeys(
        _ids(), True
    )
    shutil.rmtree(FOLDER)
    assert not any(used for *_, used in stored_entries(root))


def test_the_command_line_wants_one_form_or_the_other():
    for arguments in ([], ["--task", TASK], ["--task", TASK, "--encoder", "a", "--encoders", "b"]):
        done = subprocess.run(
            [sys.executable, "-m", "pipeline.encode", *arguments], cwd=ROOT, capture_output=True, text=True, check=False
        )
        assert done.returncode == 1 and "give --task" in done.stderr
