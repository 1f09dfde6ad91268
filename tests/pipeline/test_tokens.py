"""Tokens beside the vector: spatial ones, pooled, rounded or compressed, and what the blocks above a ViT's block need."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import zarr

from datasets.embedding_shards import ARRAY, HIDDEN, TOKENS
from datasets.embeddings import arrays_of, load_embeddings
from datasets.errors import DataError, UserError
from datasets.frames import load_frames_index, read_frame_rows
from datasets.manifest import digest, read_manifest
from datasets.tokens import StoredTokens
from pipeline import encode, pretrain
from pipeline.encoders import load_encoder, load_upper
from pipeline.tokens import pooled, quantised
from tests.checkpoints import spec_of, write_checkpoint
from tests.datasets.damage import flip_byte
from tests.synthetic import TASK, enter_project, make_trajectories, write_params

DATA = make_trajectories()  # 126 rows under the default look, its last 42 under the other
VIT = "random_vit"  # 8 x 8 tokens of 128 channels, four blocks
FOLDER = Path("data/embeddings") / TASK / VIT
WEIGHTS = Path("data/weights") / TASK / VIT / "weights.pt"


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    enter_project(tmp_path, monkeypatch, DATA)
    _settings(tmp_path)
    pretrain.main(VIT, TASK)
    return tmp_path


def _settings(root: Path, **tokens: Any) -> None:
    def change(values: dict[str, Any]) -> None:
        values["encode"].update(batch=8, chunk=16, shard=64)
        values["encode"]["tokens"].update(chunk=4, shard=32, **tokens)

    write_params(root, change)


def _frames(variant: str = "default") -> tuple[np.ndarray, np.ndarray]:
    """The rows of a look, and their frames."""
    folder = Path("data/frames") / TASK
    look = load_frames_index(folder).of(variant)
    rows = np.concatenate([np.arange(a, b) for a, b in look.rows])
    return rows, np.stack(list(read_frame_rows(folder, look, DATA.episode_starts, rows)))


def _encode(capsys: pytest.CaptureFixture[str], encoder: str = VIT) -> str:
    capsys.readouterr()
    encode.main(encoder, TASK)
    return capsys.readouterr().err


@pytest.mark.parametrize("variant", ["default", "texture-0.50-0"])
def test_stored_tokens_are_the_encoders_row_for_row(project: Path, variant: str):
    _settings(project, spatial=True)
    encode.main(VIT, TASK)
    rows, frames = _frames(variant)
    expected = load_encoder(VIT, WEIGHTS).tokens(frames).numpy()
    stored = StoredTokens(FOLDER, variant)
    assert stored.shape == (126, 8, 8, 128) and stored.attributes["encoder"] == VIT
    np.testing.assert_allclose(stored.rows(rows), expected, atol=2e-3 * np.abs(expected).max())
    absent = np.setdiff1d(np.arange(126), rows)
    assert np.isnan(stored.rows(absent)).all()
    starts = rows[[0, 5, 21]]
    np.testing.assert_array_equal(
        stored.windows(starts, 9), stored.rows((starts[:, None] + np.arange(9)).ravel()).reshape(3, 9, 8, 8, 128)
    )


def test_asking_for_tokens_leaves_the_vectors_and_their_name_as_they_were(project: Path, capsys):
    _encode(capsys)
    before = load_embeddings(FOLDER, "default")
    entry = read_manifest(FOLDER)["meta"]["entries"]["default.zarr/embedding"]
    _settings(project, spatial=True)
    assert "168 rows" in _encode(capsys)
    after = load_embeddings(FOLDER, "default")
    np.testing.assert_array_equal(after.values, before.values)
    assert read_manifest(FOLDER)["meta"]["entries"]["default.zarr/embedding"] == entry
    assert arrays_of(FOLDER, "default") == [ARRAY, TOKENS]
    assert "pooled_grid" not in after.attributes
    assert "0 rows" in _encode(capsys)


def test_tokens_and_vectors_in_one_pass_are_those_of_two(project: Path, capsys, monkeypatch):
    _settings(project, spatial=True, after_block=2)
    _encode(capsys)
    together = digest(FOLDER)
    monkeypatch.setenv("ENCORE_STORE", str(project / "another"))
    _settings(project)
    _encode(capsys)
    _settings(project, spatial=True, after_block=2)
    _encode(capsys)
    assert digest(FOLDER) == together


def test_a_pooled_grid_is_the_mean_of_its_windows(project: Path):
    _settings(project, spatial=True, grid=4, dtype="float32")
    encode.main(VIT, TASK)
    rows, frames = _frames()
    expected = load_encoder(VIT, WEIGHTS).tokens(frames).numpy().reshape(len(rows), 4, 2, 4, 2, 128).mean((2, 4))
    np.testing.assert_allclose(StoredTokens(FOLDER, "default").rows(rows), expected, rtol=1e-4, atol=1e-5)


def test_a_grid_that_does_not_divide_averages_overlapping_windows():
    tokens = torch.arange(3.0 * 3 * 2).reshape(1, 3, 3, 2)
    expected = torch.stack([tokens[0, i : i + 2, j : j + 2].mean((0, 1)) for i in (0, 1) for j in (0, 1)]).view(1, 2, 2, 2)
    torch.testing.assert_close(pooled(tokens, 2), expected)


def test_int8_is_within_half_a_level_and_states_what_it_lost(project: Path):
    _settings(project, spatial=True, dtype="int8")
    encode.main(VIT, TASK)
    rows, frames = _frames()
    expected = load_encoder(VIT, WEIGHTS).tokens(frames).numpy()
    stored = StoredTokens(FOLDER, "default")
    found = stored.rows(rows)
    level = np.abs(expected).max((1, 2), keepdims=True) / 127
    assert (np.abs(found - expected) <= 0.501 * level + 1e-6).all()
    lost = np.sqrt(((found - expected) ** 2).sum((1, 2, 3)) / (expected**2).sum((1, 2, 3)))
    assert stored.error is not None
    np.testing.assert_allclose(stored.error[rows], lost, rtol=1e-2)
    assert 0 < lost.max() < 0.01
    raw = zarr.open_group(FOLDER / "default.zarr", mode="r")  # any Zarr reader undoes it by one product
    np.testing.assert_allclose(raw["tokens"][:5] * raw["tokens_scale"][:5][:, None, None], stored.rows(np.arange(5)))
    starts = rows[[3, 40]]
    np.testing.assert_array_equal(stored.windows(starts, 6)[1], stored.rows(starts[1] + np.arange(6)))


def test_rounding_keeps_zeros_and_has_no_error_where_there_is_nothing():
    tokens = torch.randn(3, 4, 5, generator=torch.Generator().manual_seed(0))
    tokens[0] = 0
    tokens[1, :, 2] = 0
    made = quantised(tokens)
    assert made.values.dtype == torch.int8 and made.values[1, :, 2].eq(0).all()
    assert made.error[0] == 0 and made.scale[1, 2] == 0
    assert made.values[2].abs().amax(0).eq(127).all()  # the largest of a channel is the last level


def test_compressed_tokens_are_smaller_and_read_the_same(project: Path, capsys):
    sizes, values = [], []
    for compress in (False, True):
        _settings(project, spatial=True, dtype="int8", compress=compress)
        _encode(capsys)
        sizes.append(sum(file.stat().st_size for file in (FOLDER / "default.zarr" / TOKENS / "c").rglob("*") if file.is_file()))
        stored = StoredTokens(FOLDER, "default")
        values.append((stored.rows(np.array([7, 3, 99])), stored.windows(np.array([0, 70]), 5)))
    assert sizes[1] < 0.98 * sizes[0]
    for plain, packed in zip(*values, strict=True):
        np.testing.assert_array_equal(plain, packed)
    with pytest.raises(IndexError, match="126 rows"):
        StoredTokens(FOLDER, "default").windows(np.array([123]), 5)


def test_the_blocks_above_give_what_the_whole_network_gives(project: Path):
    _settings(project, after_block=2, dtype="float32")
    encode.main(VIT, TASK)
    rows, frames = _frames()
    stored = StoredTokens(FOLDER, "default", HIDDEN)
    assert stored.shape == (126, 65, 128)  # the class token too
    vector, tokens = load_upper(VIT, 2, WEIGHTS)(torch.from_numpy(stored.rows(rows)))
    whole = load_encoder(VIT, WEIGHTS)
    torch.testing.assert_close(vector.detach(), whole.embed(frames), rtol=1e-4, atol=1e-5)
    torch.testing.assert_close(tokens.detach(), whole.tokens(frames), rtol=1e-4, atol=1e-5)


def test_the_blocks_above_learn_from_stored_tokens_alone(project: Path):
    _settings(project, after_block=3)
    encode.main(VIT, TASK)
    rows = np.arange(0, 84, 2)  # of training episodes
    hidden = torch.from_numpy(StoredTokens(FOLDER, "default", HIDDEN).rows(rows))
    reward = torch.from_numpy(DATA.reward[rows])
    upper = load_upper(VIT, 3, WEIGHTS)
    with torch.no_grad():
        fixed = upper(hidden)[1].mean((1, 2))

    def fitted(vectors: Callable[[], torch.Tensor], *free: torch.nn.Parameter) -> float:
        torch.manual_seed(0)
        head = torch.nn.Linear(128, 1)
        optimiser = torch.optim.Adam([*head.parameters(), *free], 2e-3)
        for _ in range(100):
            loss = (head(vectors())[:, 0] - reward).square().mean()
            optimiser.zero_grad()
            loss.backward()
            optimiser.step()
        return loss.item()

    frozen = fitted(lambda: fixed)
    assert fitted(lambda: upper(hidden)[1].mean((1, 2)), *upper.parameters()) < 0.75 * frozen


def test_damaged_tokens_are_named_and_cost_their_shard_and_no_reader_of_vectors(project: Path, capsys):
    _settings(project, spatial=True)
    _encode(capsys)
    whole = digest(FOLDER)
    file = FOLDER / "default.zarr" / TOKENS / "c/1/0/0/0"
    flip_byte(file)
    load_embeddings(FOLDER, "default")
    with pytest.raises(DataError, match="tokens/c/1/0/0/0 is corrupt"):
        StoredTokens(FOLDER, "default")
    assert "32 rows in 1 shards" in _encode(capsys)
    assert digest(FOLDER) == whole


def test_tokens_that_were_not_stored_are_one_line(project: Path):
    encode.main(VIT, TASK)
    with pytest.raises(DataError, match=r"default\.zarr has no tokens; set encode\.tokens"):
        StoredTokens(FOLDER, "default")


def test_only_the_files_that_are_missing_are_made(project: Path, capsys):
    _settings(project, spatial=True, dtype="int8")
    _encode(capsys)
    whole, store = digest(FOLDER), project / "store" / "embeddings"
    entry = read_manifest(FOLDER)["meta"]["entries"]
    (store / entry["default.zarr/tokens"] / "shards" / "3.json").unlink()
    (store / entry["default.zarr/tokens_error"] / "shards" / "0.json").unlink()
    assert "94 rows in 2 shards" in _encode(capsys)  # 64 of the error's first shard, 30 of the tokens' last
    assert digest(FOLDER) == whole


def test_an_encoder_without_tokens_keeps_its_vectors_and_says_so(project: Path, capsys):
    _settings(project, spatial=True, after_block=1)
    pretrain.main("random", TASK)
    said = _encode(capsys, "random")
    assert "no spatial tokens" in said and "no blocks of a ViT" in said
    assert arrays_of(Path("data/embeddings") / TASK / "random", "default") == [ARRAY]
    for name in ("state", "scratch"):
        pretrain.main(name, TASK)
        _encode(capsys, name)


@pytest.mark.parametrize(("tokens", "said"), [({"spatial": True, "grid": 9}, "9 is more than"), ({"after_block": 5}, "1 to 4")])
def test_more_than_the_encoder_has_is_one_line(project: Path, tokens: dict[str, Any], said: str):
    _settings(project, **tokens)
    with pytest.raises(UserError, match=said):
        encode.main(VIT, TASK)


def test_a_block_without_one_above_it_or_of_no_vit_is_refused(project: Path):
    with pytest.raises(UserError, match="1 to 3"):
        load_upper(VIT, 4, WEIGHTS)
    pretrain.main("random", TASK)
    with pytest.raises(UserError, match="no blocks of a ViT"):
        load_upper("random", 1, Path("data/weights") / TASK / "random" / "weights.pt")


def test_what_made_the_tokens_is_written_on_their_array(project: Path):
    _settings(project, spatial=True, grid=2, after_block=1)
    encode.main(VIT, TASK)
    at = json.loads((FOLDER / "default.zarr" / TOKENS / "zarr.json").read_text())["attributes"]
    assert (at["pooled_grid"], at["encoder"], at["dtype"]) == (2, VIT, "float16")
    at = json.loads((FOLDER / "default.zarr" / HIDDEN / "zarr.json").read_text())["attributes"]
    assert at["after_block"] == 1 and "pooled_grid" not in at


VITS = ["dino_vits16", "dinov2_vits14_reg", "dinov3_vits16", "clip_vitb32", "siglip_b16", "mae_vitb", "theia_tiny"]


@pytest.mark.parametrize("name", [*VITS, "radio_v2_5_b"])
def test_every_kind_of_vit_can_be_run_from_the_middle(name: str, tmp_path: Path):
    file = write_checkpoint(spec_of(name), tmp_path)
    whole = load_encoder(name, file)
    assert whole.keep_hidden(5)
    pixels = whole.pixels(np.random.default_rng(0).integers(0, 256, (2, 96, 96, 3), dtype=np.uint8))
    features = whole.features(pixels)
    assert features.hidden is not None and features.tokens is not None
    with torch.no_grad():
        vector, tokens = load_upper(name, 5, file)(features.hidden)
    torch.testing.assert_close(vector, features.vector, rtol=1e-4, atol=1e-4)
    torch.testing.assert_close(tokens, features.tokens, rtol=1e-4, atol=1e-4)
