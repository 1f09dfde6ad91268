"""The registry: names, aliases, shapes known without running a model, and the table."""

import subprocess
import sys

import pytest

from pipeline.encoders import canonical, list_encoders, selectable_names
from pipeline.encoders.costs import COSTS
from pipeline.encoders.registry import code_of, entry_of
from pipeline.params import load_params
from tests.synthetic import ROOT

NAMES = [
    "clip_vitb32",
    "clip_vitb16",
    "clip_vitl14",
    "clip_rn50",
    "clip_rn50x64",
    "openclip_vitb32",
    "openclip_vith14",
    "siglip_b16",
    "siglip2_b16",
    "dino_vits16",
    "dino_vitb16",
    "dinov2_vits14",
    "dinov2_vitb14",
    "dinov2_vitl14",
    "dinov2_vitg14",
    "dinov2_vits14_reg",
    "dinov2_vitb14_reg",
    "dinov3_vits16",
    "dinov3_vitb16",
    "dinov3_vitl16",
    "mae_vitb",
    "vc1_vitb",
    "vc1_vitl",
    "mvp_vits",
    "mvp_vitb",
    "r3m_rn18",
    "r3m_rn34",
    "r3m_rn50",
    "vip_rn50",
    "liv_rn50",
    "taskonomy_autoencoding",
    "taskonomy_keypoints3d",
    "taskonomy_segment25d",
    "taskonomy_depth_zbuffer",
    "taskonomy_normal",
    "theia_tiny",
    "theia_small",
    "theia_base",
    "radio_v2_5_b",
    "spa_vitb",
    "vjepa2_vitl",
    "ijepa_vith14",
    "voltron_vcond_s",
    "r2d2_keypoints",
    "imagenet_rn50",
    "imagenet_vitb16",
]
MADE_HERE = ("state", "scratch", "scratch_64", "random_cnn", "random_vit", "autoencoder", "mae_indomain", "dino_indomain")
ALIASES = {
    "clip": "clip_vitl14",
    "openclip": "openclip_vith14",
    "r3m": "r3m_rn50",
    "vip": "vip_rn50",
    "dinov2": "dinov2_vitg14",
    "vc1": "vc1_vitl",
    "r2d2": "r2d2_keypoints",
    "random": "random_cnn",
}


SLOW = ("dinov3_vitl16",)  # timm computes its rotary buffers when built, so it is initialised in memory


def test_every_name_of_the_study_is_there():
    assert {info.name for info in list_encoders()} >= {*NAMES, *MADE_HERE}
    assert len(set(selectable_names())) == len(selectable_names())


@pytest.mark.parametrize(("alias", "name"), ALIASES.items())
def test_the_papers_short_names_are_aliases(alias: str, name: str):
    assert canonical(alias) == name


def test_params_hold_a_weights_key_for_every_selectable_name():
    assert set(load_params(ROOT / "params.yaml").weights) == set(selectable_names())


@pytest.mark.parametrize("name", [pytest.param(n, marks=pytest.mark.slow) if n in SLOW else n for n in NAMES])
def test_dim_grid_and_cost_are_those_of_the_network(name: str):
    from pipeline.encoders.measure import measure

    entry = entry_of(name)
    assert entry is not None
    found = measure(entry)
    assert (found.dim, found.grid) == (entry.info.dim, entry.info.grid)
    assert (found.gflop, found.parameters) == COSTS[name]


@pytest.mark.parametrize("name", NAMES)
def test_a_checkpoint_in_the_authors_layout_has_the_networks_keys_and_shapes(name: str):
    """On the meta device: nothing is allocated, whatever the size."""
    import torch

    from pipeline.encoders.entry import Entry
    from tests.checkpoints import spec_of

    entry = entry_of(name)
    assert isinstance(entry, Entry)
    with torch.device("meta"):
        network = entry.network()
        state = {key: torch.empty(shape) for key, (shape, *_) in spec_of(name)["keys"].items()}
        found = {key: list(value.shape) for key, value in entry.keys(state, network).items()}
    expected = {key: list(value.shape) for key, value in network.body.state_dict().items()}
    assert found == {key: shape for key, shape in expected.items() if key in found}
    assert [key for key in expected.keys() - found.keys() if not key.endswith("num_batches_tracked")] == []


def test_the_code_of_every_encoder_exists():
    for info in list_encoders():
        for file in code_of(info.name):
            assert (ROOT / file).is_file(), file


def test_the_committed_table_is_the_registrys():
    from pipeline.encoders.__main__ import table

    assert table(with_weights=False) in (ROOT / "docs" / "encoders.md").read_text()


def test_the_registry_and_its_table_load_no_torch():
    command = "import sys, pipeline.encoders.__main__, pipeline.params; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", command], cwd=ROOT, check=False).returncode == 0
