"""A mistake in params.yaml is one line that names the file, the key and what is wrong; the presets hold none."""

import subprocess
from pathlib import Path

import pytest

from datasets.errors import UserError
from pipeline.params import load_params, parse_params
from tests.synthetic import PRESETS, ROOT


def mistake(path: Path) -> str:
    """The one line that a wrong params file gets, without the file's name."""
    with pytest.raises(UserError) as caught:
        load_params(path)
    message = str(caught.value)
    assert message.startswith(f"{path}"), message
    assert "\n" not in message
    return message.removeprefix(f"{path}").removeprefix(": ")


def test_the_committed_params_are_valid():
    params = load_params(ROOT / "params.yaml")
    assert params.references[0] == params.encoder
    assert {"state", "scratch", "random", "autoencoder"} <= set(params.references)


@pytest.mark.parametrize("name", PRESETS)
def test_every_preset_is_valid_and_named_after_its_file(name: str):
    assert load_params(ROOT / "presets" / f"{name}.yaml").preset == name


def test_the_committed_params_are_the_embedded_preset():
    """As committed: `make preset` and `dvc exp run -S` change the file in the working tree."""

    def committed(name: str) -> bytes:
        shown = subprocess.run(["git", "show", f"HEAD:{name}"], cwd=ROOT, capture_output=True)
        return shown.stdout if shown.returncode == 0 else pytest.skip(f"{name} is not committed here")

    assert committed("params.yaml") == committed("presets/embedded.yaml"), "cp params.yaml presets/embedded.yaml"


@pytest.mark.parametrize(
    ("key", "value", "words"),
    [
        ("encoder", "autoencodr", ["encoder", "did you mean 'autoencoder'?"]),
        ("encoder", "qqqqqq", ["encoder", "unknown encoder 'qqqqqq'", "known: state"]),
        ("tasks", ["cartpole_swingp"], ["tasks", "did you mean 'cartpole_swingup'?"]),
        ("tasks", [], ["tasks", "at least 1"]),
        ("tasks", ["cartpole_swingup", "cartpole_swingup"], ["tasks", "repeats"]),
        ("algorithms", ["dreamer"], ["algorithms", "'dreamerv3'"]),
        ("seed", -1, ["seed", "greater than or equal to 0", "-1"]),
        ("seed", "many", ["seed", "valid integer", "'many'"]),
        ("seed", True, ["seed", "valid integer"]),
        ("train.updates", -5, ["train.updates", "-5"]),
        ("train.updates", 1.5, ["train.updates", "1.5"]),
        ("train.learning_rate", "0.001", ["train.learning_rate", "valid number"]),
        ("train.learning_rate", float("nan"), ["train.learning_rate", "finite"]),
        ("train.seeds", [], ["train.seeds", "at least 1"]),
        ("train.seeds", [0, 0], ["train.seeds", "repeats"]),
        ("train.seeds", [-1], ["train.seeds", "-1"]),
        ("train.rssm", [1, 2], ["train.rssm", "dictionary"]),
        ("train.rssm.deter", 130, ["train.rssm", "multiple of blocks"]),
        ("train.rssm.size", "13m", ["train.rssm.size", "'12m'"]),
        ("train.adapter", "cnn", ["train.adapter", "'mlp'"]),
        ("train.decoder", "frames", ["train.decoder", "'pixels' or 'none'"]),
        ("train.loss.barlow", -0.1, ["train.loss.barlow", "-0.1"]),
        ("train.loss.reward", -1.0, ["train.loss.reward", "-1.0"]),
        ("algorithms", ["tdmpc"], ["algorithms", "'tdmpc2'"]),
        ("train.tdmpc2.size", "7m", ["train.tdmpc2.size", "'5m'", "'7m'"]),
        ("train.tdmpc2.custom.latent", 100, ["train.tdmpc2.custom.latent", "multiple of 8", "100"]),
        ("train.tdmpc2.custom.q", 1, ["train.tdmpc2.custom.q", "greater than or equal to 2"]),
        ("train.tdmpc2.frames", 0, ["train.tdmpc2.frames", "greater than 0"]),
        ("train.tdmpc2.loss.rho", 1.5, ["train.tdmpc2.loss.rho", "less than or equal to 1"]),
        ("train.tdmpc2.discount", 1.0, ["train.tdmpc2.discount", "less than 1"]),
        ("collect.action_repeat", 3, ["collect", "multiple of action_repeat"]),
        ("collect.validation.random", 10_000, ["collect", "validation.random exceeds"]),
        ("collect.sac.learning_starts", 10**9, ["collect.sac", "below steps"]),
        ("collect.episodes", 5, ["collect.episodes", "dictionary"]),
        ("render.axes", ["colour"], ["render.axes.0", "did you mean 'color'?"]),
        ("render.axes", ["texture+size"], ["render.axes.0", "unknown axis 'size'"]),
        ("render.train_looks.axes", ["size"], ["render.train_looks.axes.0", "trajectories of its own"]),
        ("collect.size.severities", [1.5], ["collect.size.severities.0", "less than or equal to 1"]),
        ("collect.random", "ornstein", ["collect.random", "'uniform' or 'ou'"]),
        ("render.severities", [0.0], ["render.severities", "greater than 0"]),
        ("render.quality", "best", ["render.quality", "fast"]),
        ("encode.chunk", 100, ["encode", "multiple of"]),
        ("finetune.discount", 1.0, ["finetune.discount", "less than 1"]),
        ("pretrain.mae_indomain.tasks", ["reacher_easy"], ["pretrain.mae_indomain.tasks", "'reacher_easy' is not among tasks"]),
        ("pretrain.dino_indomain.tasks", ["cartpole_swingup"], ["pretrain.dino_indomain.tasks", "itself"]),
        ("pretrain.dino_indomain.tasks", [], ["pretrain.dino_indomain.tasks", "at least 1"]),
        ("pretrain.mae_indomain.heads", 3, ["pretrain.mae_indomain", "multiple of heads"]),
        ("compute.device", "tpu", ["compute.device", "cuda"]),
        ("compute.env_processes", -1, ["compute.env_processes", "greater than or equal to 0"]),
        ("compute.env_timeout_s", 0, ["compute.env_timeout_s", "greater than 0"]),
        ("claims.growth", 0.9, ["claims.growth", "greater than 1", "0.9"]),
        ("claims.correlation", 1.5, ["claims.correlation", "less than 1"]),
        ("claims.correction", "bonferroni", ["claims.correction", "'holm'"]),
        ("study.encoders", ["autoencodr"], ["study.encoders", "did you mean 'autoencoder'?"]),
        ("study.encoders", [], ["study.encoders", "at least 1"]),
        ("study.jobs", 0, ["study.jobs", "greater than 0"]),
        ("weights", {}, ["weights.state", "is missing"]),
        ("custom", {"Mine": {"base": "autoencoder"}}, ["custom.Mine", "a-z"]),
        ("custom", {"mine": {"base": "autoencodr"}}, ["custom.mine.base", "did you mean 'autoencoder'?"]),
        ("imports", {"My-data": {"path": "x", "quality": "expert", "validation": 0.1}}, ["imports.My-data", "a-z"]),
        ("imports", {"walker_walk": {"path": "x", "quality": "expert", "validation": 0.1}}, ["imports.walker_walk", "suite"]),
        ("imports", {"mine": {"quality": "expert", "validation": 0.1}}, ["imports.mine.path", "missing"]),
        ("imports", {"mine": {"path": "x", "quality": "expert", "validation": 0}}, ["imports.mine.validation", "greater than 0"]),
        ("imports", {"mine": {"path": "x", "quality": "Expert", "validation": 0.1}}, ["imports.mine.quality", "Expert"]),
        (
            "imports",
            {"mine": {"format": "rlds", "path": "x", "quality": "a", "validation": 0.1}},
            ["imports.mine.format", "vd4rl"],
        ),
        ("environments", {"My-env": {"make": "Pendulum-v1"}}, ["environments.My-env", "a-z"]),
        ("environments", {"walker_walk": {"make": "Pendulum-v1"}}, ["environments.walker_walk", "suite"]),
        ("environments", {"mine": {}}, ["environments.mine.make", "missing"]),
        ("environments", {"mine": {"make": "a:b:c"}}, ["environments.mine.make", "a:b:c"]),
        ("environments", {"mine": {"make": "Pendulum-v1", "kwargs": 3}}, ["environments.mine.kwargs", "dictionary"]),
        ("environments", {"mine": {"make": "Pendulum-v1", "kwarg": {}}}, ["environments.mine.kwarg", "unknown key"]),
    ],
)
def test_a_wrong_value_is_named(params_file, key, value, words):
    message = mistake(params_file({key: value}))
    assert all(word in message for word in words), message


@pytest.mark.parametrize(
    ("key", "near"),
    [
        ("train.lenght", "length"),
        ("rendr", "render"),
        ("train.rssm.detr", "deter"),
        ("finetune.lamda", "lambda"),
        ("train.loss.rewrd", "reward"),
        ("train.tdmpc2.horzon", "horizon"),
        ("train.tdmpc2.custom.latnt", "latent"),
    ],
)
def test_a_misspelt_key_suggests_the_nearest(params_file, key, near):
    message = mistake(params_file({key: 1}))
    assert f"{key}: unknown key; did you mean {near!r}?" in message


def test_a_missing_key_is_named():
    values = load_params(ROOT / "params.yaml").model_dump(by_alias=True)
    del values["train"]["rssm"]["stoch"]
    with pytest.raises(UserError, match=r"params\.yaml: train\.rssm\.stoch: missing key"):
        parse_params(values)


def test_every_mistake_is_named_in_the_same_line(params_file):
    message = mistake(params_file({"seed": -1, "train.updates": 0}))
    assert "seed" in message
    assert "train.updates" in message


def test_a_missing_file_says_what_to_do(tmp_path):
    assert "make preset" in mistake(tmp_path / "params.yaml")


@pytest.mark.parametrize("text", ["tasks: [", "a: b: c", "\tx: 1", "a: 1\na: 2"])
def test_what_is_not_yaml_is_named_with_its_line(tmp_path, text):
    path = tmp_path / "params.yaml"
    path.write_text(text)
    assert "line" in mistake(path)
    assert "not valid YAML" in mistake(path)


@pytest.mark.parametrize("text", ["", "just words", "- a\n- b"])
def test_what_is_yaml_but_no_params_is_one_line(tmp_path, text):
    path = tmp_path / "params.yaml"
    path.write_text(text)
    assert mistake(path)


def test_bytes_that_are_no_text_are_one_line(tmp_path):
    path = tmp_path / "params.yaml"
    path.write_bytes(b"\xff\xfe\x00\x01")
    assert mistake(path)


def test_a_folder_in_its_place_is_one_line(tmp_path):
    (tmp_path / "params.yaml").mkdir()
    assert mistake(tmp_path / "params.yaml")


def test_a_custom_encoder_can_be_selected(params_file):
    path = params_file(
        {
            "encoder": "mine",
            "custom": {"mine": {"base": "autoencoder", "layer": None, "pooling": None}},
            "weights": {"mine": None},
        }
    )
    assert load_params(path).references == ["mine", "state", "scratch", "random", "autoencoder"]


def test_the_selected_encoder_is_not_compared_with_itself(params_file):
    assert load_params(params_file({"encoder": "random"})).references == ["random", "state", "scratch", "autoencoder"]


def test_an_import_can_be_a_task(params_file):
    entry = {"format": None, "path": "somewhere", "camera": None, "quality": "mixed", "validation": 0.1}
    params = load_params(params_file({"tasks": ["mine", "cartpole_swingup"], "imports": {"mine": entry}}))
    assert params.imports["mine"].model_dump() == entry


def test_a_task_near_an_imports_name_is_suggested(params_file):
    entry = {"path": "somewhere", "quality": "mixed", "validation": 0.1}
    assert "did you mean 'my_data'?" in mistake(params_file({"tasks": ["my_dta"], "imports": {"my_data": entry}}))


def test_an_environment_can_be_a_task(params_file):
    entries = {"mine": {"make": "Pendulum-v1", "kwargs": {"g": 9.0}}}
    params = load_params(params_file({"tasks": ["mine"], "environments": entries}))
    source = params.source_of("mine")
    assert (source.name, source.make, source.kwargs) == ("mine", "Pendulum-v1", '{"g": 9.0}')
    assert params.source_of("cartpole_swingup") is None
    assert "did you mean 'mine'?" in mistake(params_file({"tasks": ["mne"], "environments": entries}))


def test_two_tasks_cannot_bear_one_name(params_file):
    imported = {"mine": {"path": "x", "quality": "expert", "validation": 0.1}}
    message = mistake(params_file({"imports": imported, "environments": {"mine": {"make": "Pendulum-v1"}}}))
    assert "environments.mine: imports has a task of that name" in message


def test_a_named_size_replaces_the_numbers_beside_it(params_file):
    rssm = load_params(params_file({"train.rssm.size": "25m"})).train.rssm
    assert rssm.numbers == {"deter": 3072, "hidden": 384, "stoch": 32, "classes": 24, "blocks": 8, "units": 384}
    own = load_params(ROOT / "presets" / "embedded.yaml").train.rssm
    assert own.numbers["deter"] == own.deter == 128
