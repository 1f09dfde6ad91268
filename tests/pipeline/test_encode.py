"""pretrain and encode: what is stored is what the encoder says, row for row, once."""

import shutil
from pathlib import Path

import numpy as np
import pytest
import zarr

from datasets.embeddings import load_embeddings
from datasets.errors import UserError
from datasets.frames import load_frames_index, read_frame_rows
from datasets.manifest import digest, read_manifest
from pipeline import encode, pretrain
from pipeline.encoders import canonical, load_encoder
from tests.synthetic import TASK, enter_project, make_trajectories, write_params

DATA = make_trajectories()


def _small(values):
    values["encode"].update(batch=8, chunk=16, shard=64)
    values["pretrain"]["autoencoder"].update(dim=6, updates=30, batch=16)


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    enter_project(tmp_path, monkeypatch, DATA)
    write_params(tmp_path, _small)
    return tmp_path


def _run(encoder: str) -> Path:
    pretrain.main(encoder, TASK)
    encode.main(encoder, TASK)
    return Path("data/embeddings") / TASK / encoder


@pytest.mark.parametrize("name", ["random", "autoencoder"])
def test_stored_rows_equal_the_encoder_called_on_the_same_frames(project: Path, name: str):
    folder = _run(name)
    frames = Path("data/frames") / TASK
    encoder = load_encoder(name, Path("data/weights") / TASK / name / "weights.pt")
    for variant in ("default", "texture-0.50-0"):
        stored = load_embeddings(folder, variant)
        seen = np.stack(list(read_frame_rows(frames, load_frames_index(frames).of(variant), DATA.episode_starts, stored.rows)))
        expected = encoder.embed(seen).numpy()
        np.testing.assert_allclose(stored.values[stored.rows], expected, atol=2e-3 * np.abs(expected).max())
        absent = np.setdiff1d(np.arange(len(DATA.reward)), stored.rows)
        assert np.isnan(stored.values[absent]).all()
        assert stored.attributes["encoder"] == canonical(name)
        assert not np.isnan(stored.values[stored.rows]).any()
    assert len(absent) == DATA.episode_starts[DATA.episodes(validation=True)[0]]


def test_scratch_stores_the_frames_and_state_the_observation_under_every_look(project: Path):
    frames = Path("data/frames") / TASK
    for variant in ("default", "texture-0.50-0"):
        stored = load_embeddings(_run("scratch"), variant)
        seen = np.stack(list(read_frame_rows(frames, load_frames_index(frames).of(variant), DATA.episode_starts, stored.rows)))
        np.testing.assert_array_equal(stored.values[stored.rows], seen)
        state = load_embeddings(_run("state"), variant)
        np.testing.assert_array_equal(state.values[state.rows], DATA.observation[state.rows])


def test_any_zarr_reader_can_read_the_group(project: Path):
    array = zarr.open_group(_run("random") / "default.zarr", mode="r")["embedding"]
    assert array.shape == (len(DATA.reward), 256) and array.dtype == np.float16
    assert array.metadata.zarr_format == 3 and array.shards == (64, 256)


def test_the_same_inputs_give_the_same_bytes_and_another_batch_size_another_key(project: Path):
    first, key = digest(_run("autoencoder")), read_manifest(Path("data/embeddings") / TASK / "autoencoder")["meta"]["key"]
    shutil.rmtree("data/weights")
    shutil.rmtree("data/embeddings")
    assert digest(_run("autoencoder")) == first
    write_params(project, lambda v: (_small(v), v["encode"].update(batch=16)))
    encode.main("autoencoder", TASK)
    assert read_manifest(Path("data/embeddings") / TASK / "autoencoder")["meta"]["key"] != key


def test_a_local_weights_file_is_resolved_not_copied(project: Path):
    _run("autoencoder")
    elsewhere = project / "mine.pt"
    shutil.copy(Path("data/weights") / TASK / "autoencoder" / "weights.pt", elsewhere)
    write_params(project, lambda v: (_small(v), v["weights"].update(autoencoder=str(elsewhere))))
    before = digest(Path("data/embeddings") / TASK / "autoencoder")
    folder = _run("autoencoder")
    assert not (Path("data/weights") / TASK / "autoencoder" / "weights.pt").exists()
    assert load_embeddings(folder, "default").attributes["weights_sha256"] is not None
    shards = {name: entry for name, entry in read_manifest(folder)["files"].items() if "/c/" in name}
    assert shards and before
    elsewhere.write_bytes(b"other")
    with pytest.raises(UserError, match=r"mine\.pt"):
        encode.main("autoencoder", TASK)


def test_a_truncated_tar_stops_encode_with_its_name_and_leaves_no_output(project: Path):
    tar = Path("data/frames") / TASK / "default" / "000001.tar"
    tar.write_bytes(tar.read_bytes()[:5000])
    pretrain.main("random", TASK)
    with pytest.raises(UserError, match=r"000001\.tar is truncated"):
        encode.main("random", TASK)
    assert not (Path("data/embeddings") / TASK / "random").exists()


def test_a_missing_weights_file_is_named_before_any_work(project: Path):
    write_params(project, lambda v: (_small(v), v["weights"].update(autoencoder="nowhere.pt")))
    with pytest.raises(UserError, match=r"weights\.autoencoder: nowhere\.pt does not exist"):
        pretrain.main("autoencoder", TASK)
