"""A published folder is trusted only as far as its manifest bears out."""

import hashlib
import json
from pathlib import Path

import pytest

from datasets.errors import DataError
from datasets.manifest import NAME, digest, digest_of, read_manifest, sha256_file, verify, write_json, write_manifest
from tests.datasets.damage import flip_byte, truncate


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    folder = tmp_path / "out"
    (folder / "sub").mkdir(parents=True)
    (folder / "a.bin").write_bytes(bytes(range(256)) * 20_000)  # above one read block
    (folder / "sub" / "b.txt").write_text("some text")
    write_manifest(folder, {"stage": "test"})
    return folder


def one_line(error: pytest.ExceptionInfo[DataError], *words: str) -> None:
    message = str(error.value)
    assert "\n" not in message
    assert all(word in message for word in words), message


def test_the_manifest_lists_sizes_and_checksums_of_every_file_but_itself(folder):
    manifest = read_manifest(folder)
    data = (folder / "a.bin").read_bytes()
    assert manifest["files"]["a.bin"] == {"bytes": len(data), "sha256": hashlib.sha256(data).hexdigest()}
    assert set(manifest["files"]) == {"a.bin", "sub/b.txt"}
    assert manifest["meta"] == {"stage": "test"}


def test_an_intact_folder_verifies(folder):
    assert verify(folder) == read_manifest(folder)


@pytest.mark.parametrize(
    ("damage", "word"), [(truncate, "is truncated:"), (flip_byte, "is corrupt:"), (Path.unlink, "is missing,")]
)
def test_each_kind_of_damage_is_named_with_its_file(folder, damage, word):
    damage(folder / "sub" / "b.txt")
    with pytest.raises(DataError) as error:
        verify(folder)
    one_line(error, str(folder / "sub" / "b.txt"), word)


def test_verifying_a_part_looks_at_that_part_alone(folder):
    flip_byte(folder / "a.bin")
    verify(folder, only="sub/")
    with pytest.raises(DataError):
        verify(folder, only="a")


def test_an_absent_folder_says_how_to_make_it(tmp_path):
    with pytest.raises(DataError) as error:
        verify(tmp_path / "nowhere")
    one_line(error, "nowhere is missing", "dvc repro")


def test_what_a_killed_writer_of_the_manifest_left_is_no_file_of_the_folder(folder):
    (folder / "manifest.json.tmp").write_text('{"fil')
    manifest = write_manifest(folder)
    assert "manifest.json.tmp" not in manifest["files"]
    assert verify(folder) == manifest


def test_a_folder_without_a_manifest_is_no_finished_output(folder):
    (folder / NAME).unlink()
    with pytest.raises(DataError) as error:
        verify(folder)
    one_line(error, "not a finished output")


@pytest.mark.parametrize(
    "text", ["", "{", "[]", '{"files": {}}', "null", '{"files": 3, "meta": {}}', '{"files": {"a": 1}, "meta": {}}']
)
def test_a_damaged_manifest_is_one_line(folder, text):
    (folder / NAME).write_text(text)
    with pytest.raises(DataError) as error:
        verify(folder)
    one_line(error, f"{NAME} is damaged")


def test_a_manifest_of_no_text_is_one_line(folder):
    (folder / NAME).write_bytes(b"\xff\xfe\x00")
    with pytest.raises(DataError) as error:
        verify(folder)
    one_line(error, f"{NAME} is damaged")


def test_the_digest_follows_the_contents_and_nothing_else(folder):
    before = digest(folder)
    write_manifest(folder, {"stage": "other", "note": 1})
    assert digest(folder) == before
    (folder / "sub" / "b.txt").write_text("other text")
    write_manifest(folder)
    assert digest(folder) != before


def test_digest_of_ignores_the_order_of_keys_but_not_of_lists():
    assert digest_of({"a": 1, "b": [1, 2]}) == digest_of({"b": [1, 2], "a": 1})
    assert digest_of([1, 2]) != digest_of([2, 1])


def test_json_is_written_whole_and_sorted(tmp_path):
    write_json(tmp_path / "x.json", {"b": 1, "a": 2})
    assert json.loads((tmp_path / "x.json").read_text()) == {"a": 2, "b": 1}
    assert (tmp_path / "x.json").read_text().index('"a"') < (tmp_path / "x.json").read_text().index('"b"')
    assert [p.name for p in tmp_path.iterdir()] == ["x.json"]


def test_sha256_of_a_file_larger_than_one_block(tmp_path):
    data = b"x" * (3 << 20)
    (tmp_path / "big").write_bytes(data)
    assert sha256_file(tmp_path / "big") == hashlib.sha256(data).hexdigest()
