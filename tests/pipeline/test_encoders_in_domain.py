"""The small vision transformers made here: they run the stages, resume bit for bit, and learn from the frames they should."""

import dataclasses
import json
import shutil
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import torch

from datasets.embeddings import load_embeddings
from datasets.errors import UserError
from datasets.frames import load_frames_index, read_frame_rows
from datasets.manifest import digest
from pipeline import encode, pool, pretrain
from pipeline.encoders import list_encoders, load_encoder
from pipeline.encoders.autoencoder import Autoencoder
from pipeline.encoders.learning import Objective, Schedule, learn
from pipeline.encoders.masked_autoencoder import MaskedAutoencoder, patches
from pipeline.encoders.networks.small_vit import GRID, SmallVit, normalised
from pipeline.encoders.self_distillation import SelfDistillation, crop
from tests.synthetic import TASK, enter_project, make_trajectories, write_frames, write_params, write_trajectories

VITS = ("random_vit", "mae_indomain", "dino_indomain")
OTHER = "reacher_easy"
DATA = make_trajectories(episodes=4, length=11, validation=1)
FRAMES = np.random.default_rng(0).integers(0, 256, (24, 64, 64, 3), dtype=np.uint8)
FRAMES[:, :32] = 90  # half of the picture never changes


def settings(tasks: list[str] | None = None, updates: int = 3):
    def change(values):
        values["encode"].update(batch=8, chunk=16, shard=64)
        values["tasks"] = [TASK, OTHER]
        values["pretrain"]["random_vit"].update(width=16, depth=1, heads=2)
        for name in VITS[1:]:
            values["pretrain"][name].update(tasks=tasks, width=16, depth=1, heads=2, updates=updates, batch=8)

    return change


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Two tasks with frames of their own."""
    enter_project(tmp_path, monkeypatch, DATA)
    other = dataclasses.replace(make_trajectories(episodes=4, length=11, validation=1, seed=5), task=OTHER)
    write_trajectories(tmp_path, other)
    write_frames(tmp_path, other, seed=5)
    write_params(tmp_path, settings())
    return tmp_path


def weights(name: str) -> Path:
    return Path("data/weights") / TASK / name / "weights.pt"


@pytest.mark.parametrize("name", VITS)
def test_each_runs_the_stages_and_stores_what_it_says(name: str, project: Path):
    pretrain.main(name, TASK)
    encode.main(name, TASK)
    frames = Path("data/frames") / TASK
    stored = load_embeddings(Path("data/embeddings") / TASK / name, "texture-0.50-0")
    look = load_frames_index(frames).of("texture-0.50-0")
    seen = np.stack(list(read_frame_rows(frames, look, DATA.episode_starts, stored.rows)))
    encoder = load_encoder(name, weights(name))
    expected = encoder.embed(seen).numpy()
    np.testing.assert_allclose(stored.values[stored.rows], expected, atol=2e-3 * np.abs(expected).max())
    assert encoder.tokens(seen).shape == (len(seen), GRID, GRID, 16)
    label = {} if name == "random_vit" else {"pretrained_on": "in_domain", "pretrained_tasks": [TASK]}
    assert {k: v for k, v in stored.attributes.items() if k.startswith("pretrained")} == label


def test_the_same_settings_give_the_same_bytes(project: Path):
    for name in VITS:
        pretrain.main(name, TASK)
        first = digest(weights(name).parent)
        shutil.rmtree("data/weights")
        pretrain.main(name, TASK)
        assert digest(weights(name).parent) == first


def test_frames_of_other_tasks_are_used_alone_and_labelled(project: Path):
    write_params(project, settings([TASK, OTHER]))
    pretrain.main("mae_indomain", TASK)
    source = json.loads((weights("mae_indomain").parent / "source.json").read_text())
    assert (source["pretrained_on"], source["pretrained_tasks"]) == ("other_tasks", [OTHER])
    made = weights("mae_indomain").read_bytes()
    shutil.rmtree(f"data/frames/{TASK}")  # its own frames are not needed
    shutil.rmtree("data/weights")
    pretrain.main("mae_indomain", TASK)
    assert weights("mae_indomain").read_bytes() == made


def test_pool_notes_the_named_tasks_and_nothing_by_default(project: Path):
    pool.main()
    assert json.loads(pool.OUT.read_text()) == {}
    write_params(project, settings([TASK, OTHER]))
    pool.main()
    noted = json.loads(pool.OUT.read_text())
    assert noted[OTHER]["frames"] == digest(Path("data/frames") / OTHER)
    assert set(noted) == {TASK, OTHER}


def test_without_updates_the_network_is_the_one_it_starts_from(project: Path):
    write_params(project, settings(updates=0))
    states = []
    for name in ("random_vit", "mae_indomain", "dino_indomain"):
        pretrain.main(name, TASK)
        states.append(torch.load(weights(name), weights_only=True)["state_dict"])
    for key, value in states[0].items():
        for state in states[1:]:
            assert torch.equal(state[key], value) == (key != "mean"), key


def objective(name: str) -> Objective:
    if name == "autoencoder":
        return Autoencoder(FRAMES, 4, seed=0)
    encoder = SmallVit(16, 1, 2, seed=0)
    encoder.centre(FRAMES)
    return (MaskedAutoencoder if name == "mae_indomain" else SelfDistillation)(encoder, seed=0)


class _Killed(Exception):
    pass


def killed_at(update: int):
    def track(todo: range) -> Iterator[int]:
        for number in todo:
            if number == update:
                raise _Killed
            yield number

    return track


@pytest.mark.parametrize("name", ["autoencoder", "mae_indomain", "dino_indomain"])
def test_learning_resumes_bit_for_bit(name: str, tmp_path: Path):
    how = Schedule(updates=106, batch=4, learning_rate=1e-3, seed=0, device="cpu")
    for folder in ("whole", "killed"):
        (tmp_path / folder).mkdir()
    whole = objective(name)
    expected = learn(whole, FRAMES, how, tmp_path / "whole", iter)
    with pytest.raises(_Killed):
        learn(objective(name), FRAMES, how, tmp_path / "killed", killed_at(103))
    resumed = objective(name)
    assert learn(resumed, FRAMES, how, tmp_path / "killed", iter) == expected
    for key, value in whole.networks.state_dict().items():
        assert torch.equal(resumed.networks.state_dict()[key], value), key


def test_a_loss_that_is_no_number_names_what_to_lower(tmp_path: Path):
    with pytest.raises(UserError, match=r"lower pretrain\.mae_indomain\.learning_rate"):
        learn(objective("mae_indomain"), FRAMES, Schedule(100, 4, 1e30, 0, "cpu"), tmp_path, iter)


def test_patches_are_numbered_as_the_patch_embedding_numbers_them():
    vit = SmallVit(16, 1, 2).vit
    pixels = normalised(torch.from_numpy(FRAMES[:2]).permute(0, 3, 1, 2))
    flat = vit.patch_embed.proj.weight.permute(2, 3, 1, 0).reshape(-1, 16)
    torch.testing.assert_close(patches(pixels) @ flat, vit.patch_embed(pixels), rtol=1e-4, atol=1e-5)


def test_a_crop_is_one_square_of_the_grid():
    for shown in crop(50, 5, torch.Generator().manual_seed(0)):
        rows, columns = (shown // GRID).unique(), (shown % GRID).unique()
        assert len(shown.unique()) == 25
        assert rows.tolist() == list(range(int(rows[0]), int(rows[0]) + 5))
        assert columns.tolist() == list(range(int(columns[0]), int(columns[0]) + 5))


def test_every_patch_reaches_the_embedding():
    encoder = SmallVit(16, 2, 2)
    encoder.centre(FRAMES)
    pixels = normalised(torch.from_numpy(FRAMES[:1]).permute(0, 3, 1, 2)).requires_grad_()
    encoder(pixels)[0].square().sum().backward()
    assert (patches(pixels.grad).abs().sum(-1) > 0).all()


def test_the_sizes_of_the_registry_are_those_of_the_committed_params():
    from pipeline.params import load_params
    from tests.synthetic import ROOT

    made = load_params(ROOT / "params.yaml").pretrain
    for info in list_encoders():
        if info.name in VITS:
            size = made.of(info.name)
            assert (info.dim, info.grid) == (size.width, (GRID, GRID, size.width))
    assert load_encoder("random_vit").embed(FRAMES).shape == (24, made.random_vit.width)
