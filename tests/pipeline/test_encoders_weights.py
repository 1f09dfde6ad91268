"""Wrong, damaged, hostile or absent weights: one line with the file, what was expected and what was found; nothing executed."""

import argparse
import hashlib
import json
import os
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import ClassVar

import pytest
import torch

from datasets.errors import UserError
from pipeline.encoders import load_encoder
from pipeline.encoders.convert import main as convert
from pipeline.encoders.registry import entry_of, list_encoders
from pipeline.encoders.weights import is_published, wanted
from tests.checkpoints import ORACLES, State, images, spec_of, state_of, write_checkpoint
from tests.synthetic import ROOT

R2D2 = ROOT.parent / "shared" / "weights" / "r2d2_WASF_N16.pt"
NAME = "dino_vits16"


@pytest.fixture(scope="module")
def dino() -> State:
    return state_of(spec_of(NAME))


def refused(path: Path, name: str = NAME) -> str:
    """The one line that `path` is refused with."""
    with pytest.raises(UserError) as caught:
        load_encoder(name, weights=path)
    message = str(caught.value)
    assert str(path) in message
    assert "\n" not in message
    return message


CHANGES: dict[str, tuple[Callable[[State], object], str]] = {
    "missing": (lambda s: s.pop("blocks.11.mlp.fc2.bias"), r"1 of 150 missing (expected blocks.11.mlp.fc2.bias [384])"),
    "extra": (
        lambda s: s.update({"blocks.12.norm1.weight": torch.ones(384)}),
        "that do not belong (found blocks.12.norm1.weight [384])",
    ),
    "another size": (lambda s: s.update({"norm.weight": torch.ones(768)}), "norm.weight: expected [384], found [768]"),
    "another patch size": (
        lambda s: s.update({"patch_embed.proj.weight": torch.zeros(384, 3, 8, 8)}),
        "patch_embed.proj.weight: expected [384, 3, 16, 16], found [384, 3, 8, 8]",
    ),
    "another resolution": (
        lambda s: s.update(pos_embed=torch.zeros(1, 577, 384)),
        "pos_embed: expected [1, 197, 384], found [1, 577, 384]",
    ),
}


@pytest.mark.parametrize("change", CHANGES)
def test_tensors_that_do_not_fit_are_named(change: str, dino: State, tmp_path: Path):
    state = dict(dino)
    alter, expected = CHANGES[change]
    alter(state)
    torch.save(state, tmp_path / "w.pth")
    message = refused(tmp_path / "w.pth")
    assert expected in message
    assert NAME in message


def test_weights_of_another_encoder_are_refused(dino: State, tmp_path: Path):
    torch.save(dino, tmp_path / "w.pth")
    for name in (
        "dinov2_vits14",
        "dino_vitb16",
        "clip_vitb16",
        "siglip_b16",
        "r3m_rn50",
        "taskonomy_normal",
        "theia_small",
        "radio_v2_5_b",
    ):
        assert "expected" in refused(tmp_path / "w.pth", name)


def test_registers_are_never_taken_for_a_network_without_them(tmp_path: Path):
    torch.save(state_of(spec_of("dinov2_vits14_reg")), tmp_path / "reg.pth")
    torch.save(state_of(spec_of("dinov2_vits14")), tmp_path / "plain.pth")
    assert "reg_token" in refused(tmp_path / "reg.pth", "dinov2_vits14")
    assert "missing (expected reg_token" in refused(tmp_path / "plain.pth", "dinov2_vits14_reg")


def test_a_clip_of_another_patch_size_is_not_resampled_into_this_one(tmp_path: Path):
    state = {
        "visual.class_embedding": torch.zeros(768),
        "visual.conv1.weight": torch.zeros(768, 3, 32, 32),
        "visual.positional_embedding": torch.zeros(50, 768),
    }
    torch.save(state, tmp_path / "b32.pt")
    assert "[768, 3, 32, 32]" in refused(tmp_path / "b32.pt", "clip_vitb16")


class _Evil:
    def __init__(self, marker: Path) -> None:
        self.marker = marker

    def __reduce__(self) -> tuple[object, tuple[Path]]:
        return (Path.touch, (self.marker,))


def test_files_that_are_no_checkpoint_say_what_they_are(dino: State, tmp_path: Path):
    torch.save(dino, tmp_path / "whole.pth")
    whole = (tmp_path / "whole.pth").read_bytes()
    (tmp_path / "half.pth").write_bytes(whole[: len(whole) // 2])
    (tmp_path / "page.pth").write_text("<!DOCTYPE html><title>Sign in</title>")
    (tmp_path / "empty.pth").write_bytes(b"")
    (tmp_path / "half.safetensors").write_bytes((1000).to_bytes(8, "little") + b'{"a":')
    torch.save([1, 2], tmp_path / "list.pth")
    assert "truncated or damaged" in refused(tmp_path / "half.pth")
    assert "found a web page" in refused(tmp_path / "page.pth")
    assert "truncated or damaged" in refused(tmp_path / "empty.pth")
    assert "truncated or damaged safetensors" in refused(tmp_path / "half.safetensors")
    assert "expected a state dict" in refused(tmp_path / "list.pth")
    assert "no such weights file" in refused(tmp_path / "nothing.pth")


def test_a_pickle_that_would_run_code_is_refused_and_does_not_run(tmp_path: Path):
    marker = tmp_path / "executed"
    torch.save({"model": _Evil(marker)}, tmp_path / "evil.pth")
    assert "nothing was executed" in refused(tmp_path / "evil.pth", "mae_vitb")
    assert not marker.exists()


class _Settings:
    """Of a class that the reader does not have."""


def test_convert_keeps_the_tensors_of_a_pickled_trainer_state(dino: State, tmp_path: Path):
    source, target = tmp_path / "w.pth", tmp_path / "safe.pth"
    torch.save({"model": dino, "args": _Settings()}, source)
    assert "pipeline.encoders.convert" in refused(source, NAME)
    convert(source, target)
    held = torch.load(target, weights_only=True)
    assert list(held) == ["model"]
    assert all(torch.equal(held["model"][key], value) for key, value in dino.items())
    with pytest.raises(UserError, match="exists already"):
        convert(source, target)


def test_convert_refuses_what_calls_functions_and_calls_none(tmp_path: Path):
    torch.save({"model": {"a": torch.ones(1)}, "hook": _Evil(tmp_path / "executed")}, tmp_path / "evil.pth")
    with pytest.raises(UserError, match="tensors can be kept"):
        convert(tmp_path / "evil.pth", tmp_path / "safe.pth")
    assert not (tmp_path / "executed").exists()
    assert not (tmp_path / "safe.pth").exists()


def test_the_settings_that_trainers_save_beside_weights_are_read_without_conversion(dino: State, tmp_path: Path):
    torch.save(
        {"model": {f"module.{k}": v for k, v in dino.items()}, "args": argparse.Namespace(lr=1.0), "epoch": 3}, tmp_path / "w.pth"
    )
    assert load_encoder("mvp_vits", weights=tmp_path / "w.pth").embed(images()[1][None]).shape == (1, 384)
    torch.save(dino, tmp_path / "bare.pth")
    assert "expected a state dict under 'model', found keys cls_token" in refused(tmp_path / "bare.pth", "mvp_vits")


def test_offline_and_without_the_file_the_error_says_all_that_is_needed_at_once(tmp_path: Path):
    """Every published name, in one process without network: the file, where it comes from, the licence, where to put it."""
    command = (
        "from pipeline.encoders import list_encoders, load_encoder\nfrom datasets.errors import UserError\n"
        "for info in list_encoders():\n  if not info.made_here:\n"
        "    try: load_encoder(info.name)\n    except UserError as e: print(e)\n"
    )
    start = time.monotonic()
    run = subprocess.run(
        [sys.executable, "-c", command],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
        env={"PATH": "", "HF_HOME": str(tmp_path), "HF_HUB_OFFLINE": "1"},
    )
    assert time.monotonic() - start < 30
    lines = run.stdout.splitlines()
    entries = [entry for info in list_encoders() if (entry := entry_of(info.name))]
    assert len(lines) == len(entries)
    for line, entry in zip(lines, entries, strict=True):
        assert wanted(entry.info, entry.source) in line
        assert entry.source.file in line and entry.info.licence in line and f"weights.{entry.info.name}" in line


def test_the_hubs_cache_is_used_without_asking_the_hub(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    commit = "0" * 40
    repo = tmp_path / "models--theaiinstitute--theia-tiny-patch16-224-cdiv"
    (repo / "snapshots" / commit).mkdir(parents=True)
    (repo / "refs").mkdir()
    (repo / "refs" / "main").write_text(commit)
    write_checkpoint(spec_of("theia_tiny"), tmp_path).rename(repo / "snapshots" / commit / "model.safetensors")
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path))
    assert load_encoder("theia_tiny").embed(images()[1][None]).shape == (1, 192)


def test_a_local_file_is_known_to_be_the_published_one_or_not():
    entry = entry_of("r2d2")
    assert entry is not None and entry.source.sha256 is not None
    assert is_published(entry, entry.source.sha256) is True
    assert is_published(entry, "0" * 64) is False


@pytest.mark.skipif(not R2D2.is_file(), reason="the published R2D2 file is not on this machine")
def test_the_published_r2d2_network_gives_unit_descriptors_best_first():
    encoder = load_encoder("r2d2", weights=R2D2)
    embedding = encoder.embed(images()[1][None]).reshape(8, 128)
    torch.testing.assert_close(embedding.norm(dim=1), torch.ones(8))
    flat = encoder.embed(images()[1][None] * 0).reshape(8, 128)
    assert set(flat.norm(dim=1).round().tolist()) <= {0.0, 1.0}
    with pytest.raises(UserError, match="no spatial tokens"):
        encoder.tokens(images()[1][None])


def test_every_fixture_names_a_registered_encoder():
    assert all(entry_of(path.stem) for path in ORACLES.glob("*.json"))


class _Hub(BaseHTTPRequestHandler):
    """The three answers of a hub that its client needs: about a repository, about a file, the file; noted in `asked`."""

    file: Path
    asked: ClassVar[list[str]] = []
    commit = "0123456789abcdef0123456789abcdef01234567"

    def do_HEAD(self) -> None:
        self._answer(body=False)

    def do_GET(self) -> None:
        self._answer(body=True)

    def _answer(self, body: bool) -> None:
        self.asked.append(f"{self.command} {self.path}")
        if "/resolve/" in self.path:
            content = self.file.read_bytes()
            headers = {"ETag": f'"{hashlib.sha256(content).hexdigest()}"', "X-Repo-Commit": self.commit}
        else:
            repository = self.path.removeprefix("/api/models/").split("/revision/")[0]
            content = json.dumps({"id": repository, "sha": self.commit, "siblings": []}).encode()
            headers = {"Content-Type": "application/json"}
        self.send_response(200)
        for key, value in (headers | {"Content-Length": str(len(content))}).items():
            self.send_header(key, value)
        self.end_headers()
        if body:
            self.wfile.write(content)

    def log_message(self, *arguments: object) -> None:
        pass


def test_a_file_comes_from_the_hub_once_and_from_its_cache_ever_after(tmp_path: Path):
    _Hub.file = write_checkpoint(spec_of("theia_tiny"), tmp_path)
    server = ThreadingHTTPServer(("127.0.0.1", 0), _Hub)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    environment = {key: value for key, value in os.environ.items() if "OFFLINE" not in key} | {
        "HF_ENDPOINT": f"http://127.0.0.1:{server.server_port}", "HF_HOME": str(tmp_path / "cache"), "HF_HUB_DISABLE_XET": "1",
    }  # fmt: skip
    command = "from pipeline.encoders import load_encoder; import numpy as np; "
    command += "print(load_encoder('theia_tiny').embed(np.zeros((1, 8, 8, 3), np.uint8)).shape)"

    def load() -> subprocess.CompletedProcess[str]:
        return subprocess.run([sys.executable, "-c", command], cwd=ROOT, env=environment, capture_output=True, text=True)

    try:
        first = load()
        assert first.returncode == 0 and "[1, 192]" in first.stdout, first.stderr
        assert any("GET /theaiinstitute/theia-tiny-patch16-224-cdiv/resolve/" in line for line in _Hub.asked)
        _Hub.asked.clear()
        assert load().returncode == 0
        assert not _Hub.asked
    finally:
        server.shutdown()
        server.server_close()
