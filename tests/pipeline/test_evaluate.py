"""evaluate as a stage: one row per prediction, validation episodes only, every look; the oracle is blind to looks."""

import shutil
from pathlib import Path

import polars as pl
import pytest

from analysis.tables import CALIBRATION, DYNAMICS, RECORDINGS
from datasets.errors import DataError
from datasets.manifest import digest, write_manifest
from pipeline import encode, evaluate, pretrain, train
from tests.synthetic import TASK, make_trajectories, write_frames, write_params, write_trajectories

DATA = make_trajectories()
SCHEMA = {
    "encoder": pl.String, "algorithm": pl.String, "seed": pl.Int64, "preset": pl.String, "task": pl.String, "variant": pl.String,
    "axis": pl.String, "severity": pl.Float64, "split": pl.String, "quality": pl.String, "episode": pl.Int32, "t": pl.Int32,
    "horizon": pl.Int32, "reward": pl.Float32, "reward_pred": pl.Float32,
}  # fmt: skip
VALUES = ("reward", "reward_pred")


def _tiny(values):
    values["encode"].update(batch=8, chunk=16, shard=64)
    values["train"].update(updates=30, checkpoint_every=100, batch=4, length=6, seeds=[0, 1])
    values["train"]["rssm"].update(deter=16, hidden=16, stoch=4, classes=4, units=16)
    values["compute"].update(workers=1)
    values["evaluate"].update(horizon=3, long_starts=2, latents=9)


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("trained")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(root)
        patch.setenv("ENCORE_STORE", str(root / "store"))
        write_trajectories(root, DATA)
        write_frames(root, DATA)
        write_params(root, _tiny)
        for encoder in ("state", "random"):
            pretrain.main(encoder, TASK)
            encode.main(encoder, TASK)
            train.main(encoder, TASK, "dreamerv3")
    return root


@pytest.fixture
def project(trained: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    root = tmp_path / "project"
    shutil.copytree(trained, root, ignore=shutil.ignore_patterns("store"))
    monkeypatch.chdir(root)
    monkeypatch.setenv("ENCORE_STORE", str(tmp_path / "store"))
    return root


def _evaluate(encoder: str) -> Path:
    evaluate.main(encoder, TASK, "dreamerv3")
    return Path("results/parts") / encoder / TASK / "dreamerv3"


def test_one_row_per_prediction_of_validation_episodes_under_every_look(project: Path):
    folder = _evaluate("random")
    table = pl.read_parquet(folder / "reward_error.parquet")
    assert dict(table.schema) == SCHEMA
    key = [name for name in SCHEMA if name not in VALUES]
    assert not table.select(key).is_duplicated().any()
    assert table.null_count().sum_horizontal().item() == 0
    assert table["reward_pred"].is_finite().all()
    assert table["encoder"].unique().to_list() == ["random_cnn"]
    assert sorted(table["episode"].unique()) == DATA.episodes(validation=True)
    looks = table.select("variant", "axis", "severity", "split").unique().sort("axis").rows()
    assert looks == [("default", "default", 0.0, "id"), ("texture-0.50-0", "texture", 0.5, "ood")]
    assert sorted(table["seed"].unique()) == [0, 1]
    assert table.filter(pl.col("horizon") > pl.col("t")).is_empty()
    assert {DATA.quality[e] for e in DATA.episodes(validation=True)} == set(table["quality"])


def test_rewards_are_the_trajectories_own(project: Path):
    table = pl.read_parquet(_evaluate("state") / "reward_error.parquet")
    rows = DATA.episode_starts[table["episode"].to_numpy()] + table["t"].to_numpy()
    assert (table["reward"].to_numpy() == DATA.reward[rows]).all()


def test_state_is_exactly_unaffected_by_looks_and_pixels_are_not(project: Path):
    changed = {}
    for encoder in ("state", "random"):
        table = pl.read_parquet(_evaluate(encoder) / "reward_error.parquet")
        default, shifted = (
            table.filter(pl.col("variant") == variant).sort("seed", "episode", "t", "horizon")["reward_pred"]
            for variant in ("default", "texture-0.50-0")
        )
        changed[encoder] = (default != shifted).any()
    assert changed == {"state": False, "random": True}


def test_latents_and_learning_curves_come_along(project: Path):
    folder = _evaluate("state")
    latents = pl.read_parquet(folder / "latents.parquet")
    assert latents.columns == ["encoder", "algorithm", "seed", "task", "episode", "t", "reward", "feature"]
    assert latents.group_by("seed").len().sort("seed").rows() == [(0, 9), (1, 9)]
    assert latents["feature"].list.len().unique().to_list() == [16 + 4 * 4]
    learning = pl.read_parquet(folder / "learning.parquet")
    assert sorted(learning["seed"].unique()) == [0, 1]


def test_dynamics_and_calibration_are_per_episode_at_the_horizons_asked_for(project: Path):
    folder = _evaluate("random")
    for name, columns in (("dynamics", DYNAMICS), ("calibration", CALIBRATION)):
        table = pl.read_parquet(folder / f"{name}.parquet")
        assert dict(table.schema) == columns
        key = [column for column in columns if column not in ("n", "value", "inside", "width")]
        assert not table.select(key).is_duplicated().any()
        assert table.null_count().sum_horizontal().item() == 0
        assert sorted(table["episode"].unique()) == DATA.episodes(validation=True) and sorted(table["seed"].unique()) == [0, 1]
    dynamics = pl.read_parquet(folder / "dynamics.parquet")
    horizons = dynamics.group_by("axis", "metric").agg(pl.col("horizon").unique().sort()).sort("axis", "metric").rows()
    assert horizons == [
        ("default", "embedding_nmse", [0, 1, 2, 3]), ("default", "kl", [1]), ("default", "state_nmse", [0, 1, 2, 3]),
        ("texture", "embedding_nmse", [0, 3]), ("texture", "kl", [1]), ("texture", "state_nmse", [0, 3]),
    ]  # fmt: skip
    assert (dynamics["value"] >= 0).all() and dynamics["value"].is_finite().all()
    errors = pl.read_parquet(folder / "reward_error.parquet")
    asked = errors.group_by("variant", "seed", "episode", "horizon").len("n").with_columns(pl.col("n").cast(pl.Int64))
    measured = dynamics.filter(metric="state_nmse").select("variant", "seed", "episode", "horizon", "n")
    assert len(measured.join(asked, on=measured.columns)) == len(measured)
    calibration = pl.read_parquet(folder / "calibration.parquet")
    assert sorted(calibration["horizon"].unique()) == [0, 3] and sorted(calibration["level"].unique()) == [0.5, 0.8, 0.9, 0.95]
    wider = calibration.sort("level").group_by("variant", "seed", "episode", "horizon").agg("inside", "width")
    for column in ("inside", "width"):
        assert (wider[column] == wider[column].list.sort()).all()


def test_one_episode_is_recorded_per_model(project: Path):
    table = pl.read_parquet(_evaluate("random") / "recordings.parquet")
    assert dict(table.schema) == RECORDINGS and table.null_count().sum_horizontal().item() == 0
    assert set(table["variant"]) == {"default"} and set(table["space"]) == {"embedding"} and set(table["seed"]) == {0, 1}
    (episode,) = table["episode"].unique()
    assert episode in DATA.episodes(validation=True) and set(table["quality"]) == {DATA.quality[episode]}
    for seed in (0, 1):
        own = table.filter(seed=seed)
        assert own["t"].to_list() == list(range(1, 21)) and own["horizon"].to_list() == [0] * 5 + list(range(1, 16))
    assert episode not in [*table["nearest_episode"], *table["true_nearest_episode"]]
    errors = pl.read_parquet("results/parts/random/cartpole_swingup/dreamerv3/reward_error.parquet")
    key = ["seed", "variant", "episode", "t", "horizon"]
    both = table.join(errors, on=key)  # filtering, and what lies within the horizon of every start
    assert len(both) == 2 * (5 + 3)
    assert both["reward"].equals(both["reward_right"])
    assert both["reward_pred"].to_list() == pytest.approx(both["reward_pred_right"].to_list(), abs=1e-4)


def test_what_state_stores_is_read_from_its_latents_as_its_embedding(project: Path):
    """Its embedding is the state, so both errors are the same, under every look."""
    table = pl.read_parquet(_evaluate("state") / "dynamics.parquet").filter(pl.col("metric") != "kl")
    both = table.pivot("metric", index=["variant", "seed", "episode", "horizon"], values="value")
    assert both["state_nmse"].to_list() == pytest.approx(both["embedding_nmse"].to_list(), rel=1e-5)


def test_evaluating_twice_gives_the_same_bytes(project: Path):
    first = digest(_evaluate("random"))
    assert digest(_evaluate("random")) == first


def test_a_model_of_another_representation_is_refused(project: Path):
    models = Path("models") / TASK
    shutil.rmtree(models / "state")
    shutil.copytree(models / "random", models / "state")
    with pytest.raises(DataError, match="was trained for encoder 'random_cnn', 'state' was expected"):
        _evaluate("state")
    assert not Path("results/parts/state").exists()


def test_a_truncated_model_is_named(project: Path):
    path = Path("models") / TASK / "state/dreamerv3/seed-1/model.pt"
    path.write_bytes(path.read_bytes()[:-100])
    with pytest.raises(DataError, match=r"seed-1/model\.pt is truncated"):
        _evaluate("state")
    write_manifest(path.parent.parent)  # a truncated file that its manifest agrees with
    with pytest.raises(DataError, match=r"seed-1/model\.pt is no world-model checkpoint, or damaged"):
        _evaluate("state")
