"""The project's `datasets` beside an installed distribution of the same name (Hugging Face's): neither breaks the other.

The other package is a stand-in in a site folder behind the project's root. Where the real one is installed, or a folder that
holds it is named by ENCORE_HF_DATASETS (`pip install --target FOLDER datasets`), the same is asked of it.
"""

import importlib.metadata
import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.synthetic import ROOT

STAND_IN = "the other package"


@pytest.fixture(scope="module")
def stand_in(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A site folder with an installed distribution `datasets` 4.0."""
    site = tmp_path_factory.mktemp("site")
    (site / "datasets").mkdir()
    (site / "datasets" / "__init__.py").write_text(f"NAME = {STAND_IN!r}\n__version__ = '4.0.0'\nclass Dataset: ...\n")
    (site / "datasets-4.0.0.dist-info").mkdir()
    (site / "datasets-4.0.0.dist-info" / "METADATA").write_text("Metadata-Version: 2.1\nName: datasets\nVersion: 4.0.0\n")
    return site


def real_site() -> Path | None:
    if folder := os.environ.get("ENCORE_HF_DATASETS"):
        return Path(folder)
    try:
        return Path(str(importlib.metadata.distribution("datasets").locate_file("")))
    except importlib.metadata.PackageNotFoundError:
        return None


@pytest.fixture(params=["stand-in", "real"])
def site(request: pytest.FixtureRequest, stand_in: Path) -> Path:
    if request.param == "stand-in":
        return stand_in
    found = real_site()
    if found is None:
        pytest.skip("Hugging Face's datasets is not installed; name a folder that holds it in ENCORE_HF_DATASETS")
    return found


def python(site: Path, code: str, cwd: Path) -> str:
    """What a fresh interpreter prints that has `site` as one more site folder."""
    environment = {k: v for k, v in os.environ.items() if k != "PYTHONPATH"}
    done = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", f"import site; site.addsitedir({str(site)!r})\n{code}"],
        cwd=cwd, env=environment, capture_output=True, text=True, timeout=120,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


def test_from_the_projects_root_its_own_package_is_imported(site):
    code = "import datasets, importlib.metadata as m; import datasets.frames; print(m.version('datasets'), datasets.__file__)"
    assert python(site, code, ROOT).endswith(str(ROOT / "datasets" / "__init__.py"))


def test_from_elsewhere_the_other_package_is_imported(site, tmp_path):
    origin = python(site, "import datasets; datasets.Dataset; print(datasets.__file__)", tmp_path)
    assert Path(origin).is_relative_to(site)


def test_a_stage_runs(site):
    code = "import runpy, sys; sys.argv = ['encode', '--help']; runpy.run_module('pipeline.encode', run_name='__main__')"
    assert "--encoder" in python(site, code, ROOT)


def test_transformers_timm_webdataset_and_dask_work_from_the_projects_root(site):
    code = (
        "import datasets, torch\n"
        "try:\n"
        "    import torchvision\n"
        "except RuntimeError:  # a CUDA build beside CPU torch lacks the operators that its own import needs\n"
        "    library = torch.library.Library('torchvision', 'DEF')\n"
        "    for name in ('nms', 'qnms'):\n"
        "        library.define(f'{name}(Tensor dets, Tensor scores, float iou_threshold) -> Tensor')\n"
        "    import torchvision\n"
        "import dask.array, timm, webdataset\n"
        "from transformers import ViTConfig, ViTModel\n"
        "sizes = dict(hidden_size=8, num_hidden_layers=1, num_attention_heads=1, intermediate_size=8, image_size=32)\n"
        "model = ViTModel(ViTConfig(**sizes))\n"
        "tokens = model(pixel_values=torch.zeros(1, 3, 32, 32)).last_hidden_state\n"
        "features = timm.create_model('test_vit', num_classes=0)(torch.zeros(1, 3, 160, 160))\n"
        "print(tuple(tokens.shape), len(features), dask.array.ones(4).sum().compute(), datasets.__file__)"
    )
    assert python(site, code, ROOT) == f"(1, 5, 8) 1 4.0 {ROOT / 'datasets' / '__init__.py'}"


def test_the_projects_folders_are_not_installed(tmp_path):
    names = ("analysis", "benchmarks", "datasets", "pipeline", "tests", "trainers")
    code = f"import importlib.util as u; print([str(s.origin) for n in {names!r} if (s := u.find_spec(n))])"
    assert str(ROOT) not in python(tmp_path, code, tmp_path)
