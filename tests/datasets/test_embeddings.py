"""Embeddings come back to the bit, any Zarr reader reads them, shards are written once, and damage is refused."""

from pathlib import Path

import numpy as np
import pytest
import zarr

from datasets.embedding_shards import EmbeddingWriter, Layout
from datasets.embeddings import load_embeddings
from datasets.errors import DataError
from datasets.manifest import digest, write_manifest
from tests.datasets.damage import flip_byte, truncate

ROWS, CHUNK, SHARD = 100, 8, 32
KINDS = {"float16": (5,), "float32": (7,), "uint8": (4, 6, 3)}


def values_of(dtype: str) -> np.ndarray:
    rng = np.random.default_rng(0)
    shape = (ROWS, *KINDS[dtype])
    return rng.integers(0, 256, shape, np.uint8) if dtype == "uint8" else rng.normal(size=shape).astype(dtype)


def writer_in(folder: Path, dtype: str = "float16", rows: list[list[int]] | None = None) -> EmbeddingWriter:
    attributes = {"encoder": "autoencoder", "rows": rows or [[0, ROWS]]}
    return EmbeddingWriter(folder / "default.zarr", Layout(ROWS, KINDS[dtype], dtype, CHUNK, SHARD), attributes)


def fill(folder: Path, dtype: str = "float16") -> np.ndarray:
    values, writer = values_of(dtype), writer_in(folder, dtype)
    for shard in range(-(-ROWS // SHARD)):
        writer.write(shard, values[shard * SHARD : (shard + 1) * SHARD])
    write_manifest(folder, {"stage": "encode"})
    return values


def shard_file(folder: Path, shard: int) -> Path:
    return folder / "default.zarr" / "embedding" / "c" / str(shard) / "0"


@pytest.mark.parametrize("dtype", KINDS)
def test_values_and_attributes_come_back_to_the_bit(tmp_path, dtype):
    values = fill(tmp_path, dtype)
    loaded = load_embeddings(tmp_path, "default")
    assert loaded.values.dtype == np.dtype(dtype)
    np.testing.assert_array_equal(loaded.values, values)
    assert loaded.attributes["encoder"] == "autoencoder"
    np.testing.assert_array_equal(loaded.rows, np.arange(ROWS))


@pytest.mark.parametrize("dtype", KINDS)
def test_the_same_values_give_the_same_bytes(tmp_path, dtype):
    fill(tmp_path / "a", dtype)
    fill(tmp_path / "b", dtype)
    assert digest(tmp_path / "a") == digest(tmp_path / "b")


def test_any_zarr_reader_reads_the_group(tmp_path):
    values = fill(tmp_path)
    group = zarr.open_group(tmp_path / "default.zarr", mode="r")
    assert (group.metadata.zarr_format, group["embedding"].shards, group["embedding"].chunks) == (3, (SHARD, 5), (CHUNK, 5))
    np.testing.assert_array_equal(group["embedding"][17:55], values[17:55])


def test_vectors_lie_uncompressed_in_their_shard(tmp_path):
    values = fill(tmp_path)
    assert values[:CHUNK].tobytes() in shard_file(tmp_path, 0).read_bytes()


def test_rows_that_were_not_written_are_marked(tmp_path):
    writer = writer_in(tmp_path, rows=[[40, 50], [64, 70]])
    for shard, within in ((1, slice(8, 18)), (2, slice(0, 6))):
        values = writer.blank(shard)
        values[within] = 1
        writer.write(shard, values)
    write_manifest(tmp_path)
    loaded = load_embeddings(tmp_path, "default")
    filled = np.flatnonzero(~np.isnan(loaded.values).any(axis=1))
    np.testing.assert_array_equal(filled, loaded.rows)


def test_the_last_shard_is_as_short_as_the_data(tmp_path):
    assert [len(writer_in(tmp_path).blank(shard)) for shard in range(4)] == [32, 32, 32, 4]
    assert not writer_in(tmp_path / "pixels", "uint8").blank(0).any()


def test_a_writer_opened_again_leaves_what_is_there(tmp_path):
    values = values_of("float16")
    writer_in(tmp_path).write(1, values[SHARD : 2 * SHARD])
    again = writer_in(tmp_path)
    assert [again.file(shard).is_file() for shard in range(4)] == [False, True, False, False]
    for shard in (0, 2, 3):
        again.write(shard, values[shard * SHARD : (shard + 1) * SHARD])
    write_manifest(tmp_path, {"stage": "encode"})
    np.testing.assert_array_equal(load_embeddings(tmp_path, "default").values, values)
    fill(tmp_path / "at once")
    assert digest(tmp_path / "at once") == digest(tmp_path)


@pytest.mark.parametrize("where", [0.0, 0.3, 0.6, 0.999])
def test_a_flipped_byte_in_a_shard_is_refused(tmp_path, where):
    fill(tmp_path)
    flip_byte(shard_file(tmp_path, 1), where)
    with pytest.raises(DataError) as error:
        load_embeddings(tmp_path, "default")
    assert f"{shard_file(tmp_path, 1)} is corrupt" in str(error.value)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize("damage", [truncate, Path.unlink])
def test_a_truncated_or_missing_shard_is_refused(tmp_path, damage):
    fill(tmp_path)
    damage(shard_file(tmp_path, 2))
    with pytest.raises(DataError) as error:
        load_embeddings(tmp_path, "default")
    assert str(shard_file(tmp_path, 2)) in str(error.value)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize("where", [0.0, 0.5, 0.999])
def test_plain_zarr_notices_a_flipped_byte_by_the_checksums_within(tmp_path, where):
    fill(tmp_path)
    flip_byte(shard_file(tmp_path, 0), where)
    with pytest.raises(Exception, match=r"(?i)checksum|crc32c"):
        zarr.open_group(tmp_path / "default.zarr", mode="r")["embedding"][:]


@pytest.mark.parametrize("name", ["zarr.json", "embedding/zarr.json"])
@pytest.mark.parametrize("text", ["", "{}", '{"zarr_format": 3, "node_type": "group"}'])
def test_damaged_metadata_is_refused(tmp_path, name, text):
    fill(tmp_path)
    (tmp_path / "default.zarr" / name).write_text(text)
    write_manifest(tmp_path)
    with pytest.raises(DataError) as error:
        load_embeddings(tmp_path, "default")
    assert f"{tmp_path / 'default.zarr'} is damaged" in str(error.value)
    assert "\n" not in str(error.value)


def test_a_look_that_was_not_encoded_is_named(tmp_path):
    fill(tmp_path)
    with pytest.raises(DataError, match=r"'texture-0\.50-0' was not encoded"):
        load_embeddings(tmp_path, "texture-0.50-0")


def test_damage_to_one_look_does_not_hinder_reading_another(tmp_path):
    values = fill(tmp_path)
    other = EmbeddingWriter(tmp_path / "other.zarr", Layout(ROWS, (5,), "float16", CHUNK, SHARD), {"rows": [[0, SHARD]]})
    other.write(0, values[:SHARD])
    write_manifest(tmp_path)
    flip_byte(tmp_path / "other.zarr" / "embedding" / "c" / "0" / "0")
    np.testing.assert_array_equal(load_embeddings(tmp_path, "default").values, values)


def test_a_shard_of_black_frames_is_a_file_like_any_other(tmp_path):
    writer = writer_in(tmp_path, "uint8")
    writer.write(1, np.zeros((SHARD, *KINDS["uint8"]), np.uint8))
    assert writer.file(1).stat().st_size > 0
    for shard in (0, 2, 3):
        writer.write(shard, writer.blank(shard) + np.uint8(1))
    write_manifest(tmp_path, {"stage": "encode"})
    assert not load_embeddings(tmp_path, "default").values[SHARD : 2 * SHARD].any()
