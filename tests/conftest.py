"""What every test shares: one thread a process, nothing fetched, and small settings."""

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from jaxtyping import install_import_hook

import tests.shapes  # noqa: F401  # jaxtyping imports the package alone

install_import_hook(
    ["trainers.worldmodel", "trainers.tdmpc2", "trainers.dinowm", "trainers.agent.returns"], "tests.shapes.checked"
)
for _variable in ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS"):
    os.environ[_variable] = "1"
os.environ.update(HF_HUB_OFFLINE="1", TRANSFORMERS_OFFLINE="1")


@pytest.fixture(autouse=True)
def _own_store(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> None:
    """Work in progress and costs never touch the repository's own store."""
    monkeypatch.setenv("ENCORE_STORE", str(tmp_path_factory.getbasetemp() / "store"))


@pytest.fixture
def params_file(tmp_path: Path) -> Callable[..., Path]:
    """`params_file({"train.updates": 5})` writes the committed params.yaml with these values changed; returns its path."""
    from tests.synthetic import write_params

    def make(changes: dict[str, Any] | None = None) -> Path:
        def apply(values: dict[str, Any]) -> None:
            for key, value in (changes or {}).items():
                *sections, last = key.split(".")
                section = values
                for name in sections:
                    section = section[name]
                section[last] = value

        return write_params(tmp_path, apply)

    return make
