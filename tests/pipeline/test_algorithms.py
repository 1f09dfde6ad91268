"""`algorithms: [dreamerv3, tdmpc2]` from embeddings to predictions: the same rewards predicted by both, from the same windows."""

from pathlib import Path

import polars as pl
import pytest

from datasets.errors import DataError, UserError
from datasets.manifest import digest
from pipeline import encode, evaluate, finetune, pretrain, train
from pipeline.params import load_params
from tests.synthetic import TASK, enter_project, go_into, make_trajectories, write_params
from trainers.checkpoint import load_world_model
from trainers.tdmpc2.config import PUBLISHED

ALGORITHMS = ("dreamerv3", "tdmpc2")
ENCODERS = ("state", "scratch")
TINY = {"encoder": 16, "encoder_layers": 2, "latent": 16, "mlp": 16, "q": 2, "channels": 4}


def _tiny(values):
    values["algorithms"] = list(ALGORITHMS)
    values["encode"].update(batch=8, chunk=16, shard=64)
    values["train"].update(updates=24, checkpoint_every=10, batch=2, length=6)
    values["train"]["rssm"].update(deter=16, hidden=16, stoch=4, classes=4, blocks=4, units=16)
    values["train"]["tdmpc2"].update(updates=23, batch=4, custom=TINY)
    values["evaluate"].update(horizon=3, long_starts=2, latents=9)


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Both algorithms trained and evaluated on both kinds of representation."""
    root = tmp_path_factory.mktemp("algorithms")
    with pytest.MonkeyPatch.context() as patch:
        enter_project(root, patch, make_trajectories())
        write_params(root, _tiny)
        for encoder in ENCODERS:
            pretrain.main(encoder, TASK)
            encode.main(encoder, TASK)
            for algorithm in ALGORITHMS:
                train.main(encoder, TASK, algorithm)
                evaluate.main(encoder, TASK, algorithm)
    return root


@pytest.fixture
def inside(project: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    return go_into(project, monkeypatch)


@pytest.mark.parametrize("encoder", ENCODERS)
def test_both_predict_the_same_rewards(inside: Path, encoder: str):
    tables = [pl.read_parquet(f"results/parts/{encoder}/{TASK}/{a}/reward_error.parquet") for a in ALGORITHMS]
    assert [t["algorithm"].unique().to_list() for t in tables] == [["dreamerv3"], ["tdmpc2"]]
    assert tables[0].schema == tables[1].schema
    assert tables[0].drop("algorithm", "reward_pred").equals(tables[1].drop("algorithm", "reward_pred"))
    assert tables[1]["reward_pred"].is_finite().all() and tables[1]["reward_pred"].std() > 0


def test_each_trains_by_its_own_section(inside: Path):
    for algorithm, updates, metric in (("dreamerv3", 24, "prediction_loss"), ("tdmpc2", 23, "consistency_loss")):
        folder = Path("models") / TASK / "scratch" / algorithm / "seed-0"
        loaded = load_world_model(folder / "model.pt", encoder="scratch", algorithm=algorithm)
        assert loaded.meta["updates"] == updates
        learning = pl.read_parquet(folder / "learning.parquet")
        assert {"reward_loss", "gradient_norm", metric} <= set(learning["metric"])
        latents = pl.read_parquet(f"results/parts/scratch/{TASK}/{algorithm}/latents.parquet")
        assert len(latents["feature"][0]) == {"dreamerv3": 32, "tdmpc2": 16}[algorithm]


def test_training_twice_gives_the_same_bytes(inside: Path):
    out = Path("models") / TASK / "scratch" / "tdmpc2"
    first = digest(out)
    train.main("scratch", TASK, "tdmpc2")
    assert digest(out) == first


def test_an_algorithm_without_an_agent_says_so_and_has_empty_tables(inside: Path, capfd: pytest.CaptureFixture[str]):
    finetune.main("state", TASK, "dinowm")
    assert capfd.readouterr().err.count("finetune state: dinowm has no agent: not fine-tuned") == 1
    folder = Path("results/online/state") / TASK / "dinowm"
    online = pl.read_parquet(folder / "online.parquet")
    assert online.is_empty() and {"algorithm", "arm", "env_steps", "return"} <= set(online.columns)
    assert pl.read_parquet(folder / "training_episodes.parquet").is_empty()


def test_one_algorithms_model_is_not_taken_for_the_others(inside: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    for link in ("data", "params.yaml"):
        (tmp_path / link).symlink_to(inside / link)
    models = tmp_path / "models" / TASK / "state"
    models.mkdir(parents=True)
    (models / "tdmpc2").symlink_to(inside / "models" / TASK / "state" / "dreamerv3")
    monkeypatch.chdir(tmp_path)
    with pytest.raises(DataError, match="was trained for algorithm 'dreamerv3', 'tdmpc2' was expected"):
        evaluate.main("state", TASK, "tdmpc2")


def test_an_unknown_algorithm_is_named_by_every_stage(inside: Path):
    for stage in (train, evaluate, finetune):
        with pytest.raises(UserError, match="unknown algorithm 'tdmpc'; known: dreamerv3, tdmpc2"):
            stage.main("state", TASK, "tdmpc")


def test_a_models_identity_is_its_own_sections_and_a_published_size_counts_by_its_numbers(params_file):
    def identity(algorithm: str, **changes):
        changed = {key.replace("__", "."): value for key, value in changes.items()}
        return load_params(params_file(changed)).train.of(algorithm).identity

    assert identity("dreamerv3", train__tdmpc2__updates=7) == identity("dreamerv3")
    assert identity("tdmpc2", train__updates=7) == identity("tdmpc2") != identity("tdmpc2", train__seeds=[3])
    assert identity("tdmpc2", train__tdmpc2__size="1m") == identity(
        "tdmpc2", train__tdmpc2__size="1m", train__tdmpc2__custom=TINY
    )
    settings = load_params(params_file({"train.tdmpc2.size": "1m"})).train.tdmpc2.settings
    assert settings.sizes == PUBLISHED["1m"]
