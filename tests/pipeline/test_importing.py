"""Imported tasks: trajectories and frames from other projects' files, then every stage up to the report."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest
import zarr

from datasets.episodes import EpisodeIndex
from datasets.errors import DataError
from datasets.frames import read_frame_shard
from datasets.manifest import write_manifest
from datasets.trajectories import FILE, TrajectoryReader, load_trajectories
from pipeline import collect, encode, evaluate, finetune, pretrain, probe, render, replay, report, train
from pipeline.importing import import_digest, import_frames, import_trajectories
from pipeline.log import track
from pipeline.params import Import
from tests.foreign import SIZE, images, npz_arrays, write_npz_folder, write_robomimic

TASK = "walker_files"
TINY = {
    "tasks": [TASK], "encode.batch": 8, "encode.chunk": 16, "encode.shard": 64, "pretrain.autoencoder.updates": 3,
    "pretrain.autoencoder.batch": 4, "pretrain.autoencoder.dim": 4, "train.updates": 5, "train.checkpoint_every": 5,
    "train.batch": 2, "train.length": 4, "evaluate.horizon": 2, "evaluate.long_starts": 1, "evaluate.latents": 10,
    "train.rssm": {"size": "custom", "deter": 16, "hidden": 16, "stoch": 4, "classes": 4, "blocks": 4, "units": 16},
    "report.bootstrap": 20,
}  # fmt: skip


def spec(path: Path, **changes: Any) -> Import:
    return Import(**{"path": str(path), "quality": "mixed", "validation": 0.5} | changes)


def trajectories_of(made: Import, folder: Path) -> EpisodeIndex:
    folder.mkdir(parents=True)
    import_trajectories(made, TASK, folder / FILE)
    write_manifest(folder)
    with TrajectoryReader(folder) as reader:
        return reader.index


def test_trajectories_hold_every_episode_and_where_they_came_from(tmp_path):
    made = write_npz_folder(tmp_path / "npz")
    source = spec(tmp_path / "npz")
    trajectories_of(source, tmp_path / "out")
    data = load_trajectories(tmp_path / "out")
    order = [0, 2, 1, 3]  # an even half is held out, last
    np.testing.assert_array_equal(data.action, np.concatenate([made[i]["action"] for i in order]))
    np.testing.assert_array_equal(data.reward, np.concatenate([made[i]["reward"] for i in order]))
    assert data.validation.tolist() == [False, False, True, True]
    assert data.quality == ["mixed"] * 4 and data.seed.tolist() == [-1] * 4
    assert data.meta == {"camera": "image", "source_sha256": import_digest(source)}
    assert data.physics.shape[1] == data.observation.shape[1] == 0


def test_what_robomimic_knows_of_time_is_kept(tmp_path):
    write_robomimic(tmp_path / "image.hdf5")
    meta = trajectories_of(spec(tmp_path / "image.hdf5", camera="wrist_image"), tmp_path / "out").meta
    assert (meta["control_timestep"], meta["action_repeat"], meta["camera"]) == (0.05, 1, "wrist_image")


def test_frames_are_the_files_pixels_episode_by_episode(tmp_path):
    write_robomimic(tmp_path / "image.hdf5")
    source = spec(tmp_path / "image.hdf5", camera="agentview_image", format="robomimic", validation=0.34)
    index = trajectories_of(source, tmp_path / "out")
    frames = import_frames(source, TASK, index, tmp_path / "frames", 2, track)
    assert (frames.task, frames.size, frames.camera, frames.quality) == (TASK, SIZE, "agentview_image", "imported")
    (only,) = frames.sets
    assert (only.look.variant, only.look.axis, only.look.severity, only.look.split) == ("default", "default", 0, "id")
    assert only.rows == [[0, int(index.episode_ends[-1])]]
    found: dict[int, list[np.ndarray]] = {}
    for shard in only.shards:
        for episode, t, frame in read_frame_shard(tmp_path / "frames" / shard.file):
            assert t == len(found.setdefault(episode, []))
            found[episode].append(frame)
    starts = [0, 40, 20]  # demo_1 is held out, last
    lengths = np.diff(index.episode_ends, prepend=0)
    for episode, clip in found.items():
        np.testing.assert_array_equal(clip, images(lengths[episode], starts[episode]))
    assert sorted(found) == [0, 1, 2]


def test_a_killed_import_goes_on_at_the_first_tar_that_is_missing(tmp_path):
    write_npz_folder(tmp_path / "npz")
    source = spec(tmp_path / "npz")
    index = trajectories_of(source, tmp_path / "out")
    whole = import_frames(source, TASK, index, tmp_path / "whole", 1, track)
    bytes_of = {s.file: (tmp_path / "whole" / s.file).read_bytes() for s in whole.sets[0].shards}

    class Killed(Exception): ...

    def killed(shards, *_):
        for number, shard in enumerate(shards):
            if number == 1:
                raise Killed
            yield shard

    with pytest.raises(Killed):
        import_frames(source, TASK, index, tmp_path / "again", 1, killed)
    there = sorted((tmp_path / "again" / "default").glob("*.tar"))
    assert 0 < len(there) < len(bytes_of)
    before = [path.stat().st_mtime_ns for path in there]
    assert import_frames(source, TASK, index, tmp_path / "again", 1, track) == whole
    assert [path.stat().st_mtime_ns for path in there] == before
    assert {name: (tmp_path / "again" / name).read_bytes() for name in bytes_of} == bytes_of


def test_a_source_that_changed_since_is_refused(tmp_path):
    write_npz_folder(tmp_path / "npz")
    source = spec(tmp_path / "npz")
    index = trajectories_of(source, tmp_path / "out")
    victim = sorted((tmp_path / "npz").iterdir())[0]
    np.savez_compressed(victim, **(npz_arrays(6, 1) | {"image": images(6, 99)}))
    with pytest.raises(DataError, match="changed since"):
        import_frames(source, TASK, index, tmp_path / "frames", 2, track)


def test_another_split_is_refused(tmp_path):
    write_npz_folder(tmp_path / "npz")
    index = trajectories_of(spec(tmp_path / "npz"), tmp_path / "out")
    with pytest.raises(DataError, match="run collect again"):
        import_frames(spec(tmp_path / "npz", validation=0.25), TASK, index, tmp_path / "frames", 2, track)


def test_a_source_may_move_but_not_change(tmp_path):
    write_npz_folder(tmp_path / "npz")
    before = import_digest(spec(tmp_path / "npz"))
    (tmp_path / "npz").rename(tmp_path / "moved")
    assert import_digest(spec(tmp_path / "moved")) == before


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, params_file: Callable[..., Path]) -> Path:
    """A project whose one task is a folder of npz episodes, imported as `collect` and `render` do it."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("ENCORE_STORE", str(tmp_path / "store"))
    write_npz_folder(tmp_path / "npz", episodes=6, rows=12)
    params_file(TINY | {"imports": {TASK: {"path": "npz", "quality": "mixed", "validation": 0.34}}})
    collect.main(TASK)
    render.main(TASK)
    return tmp_path


def test_every_stage_after_them_works_on_an_imported_task(project, capsys):
    encoders = ("state", "scratch", "random", "autoencoder")
    for encoder in encoders:
        pretrain.main(encoder, TASK)
        encode.main(encoder, TASK)
        probe.main(encoder, TASK)
        train.main(encoder, TASK, "dreamerv3")
        evaluate.main(encoder, TASK, "dreamerv3")
    for encoder in ("state", "scratch"):
        finetune.main(encoder, TASK, "dreamerv3")
    report.main()
    assert "blind control" in capsys.readouterr().err

    group = zarr.open_group(f"data/embeddings/{TASK}/state/default.zarr", mode="r")
    assert group.attrs["preprocessing"] == "none: the data has no state; a blind control"
    assert group["embedding"].shape[1:] == (1,) and not np.asarray(group["embedding"][:]).any()
    frames = np.asarray(zarr.open_group(f"data/embeddings/{TASK}/scratch/default.zarr", mode="r")["embedding"][:])
    np.testing.assert_array_equal(frames[:12], npz_arrays(12, 1)["image"])

    table = pl.read_parquet("results/reward_error.parquet")
    assert set(table["encoder"]) == {"state", "scratch", "random_cnn", "autoencoder"}
    assert set(table["axis"]) == {"default"} and set(table["quality"]) == {"mixed"}
    assert set(table["episode"]) == {4, 5} and not table["reward_pred"].is_nan().any()
    assert pl.read_parquet("results/online.parquet").is_empty()
    assert set(pl.read_parquet("results/probes.parquet")["target"]) == {"reward"}  # there is no state to read
    metrics = pl.read_parquet("results/dynamics.parquet").group_by("encoder").agg(pl.col("metric").unique().sort())
    assert dict(metrics.rows()) == {
        encoder: ["kl"] if encoder == "state" else ["embedding_nmse", "kl"] for encoder in table["encoder"].unique()
    }
    assert (Path("report/figures") / "traces-1.svg").is_file()
    page = Path("report/index.html").read_text()
    assert f"{TASK} is imported and has no environment: state was not fine-tuned" in page


def test_there_is_nothing_to_simulate_or_draw_again(project):
    with pytest.raises(DataError, match="holds no physics states"):
        replay.main(TASK)
    render.main(TASK, contact_sheet=Path("sheet.png"), videos=Path("videos"))
    assert Path("sheet.png").is_file() and [path.name for path in Path("videos").iterdir()] == ["default.webp"]


def test_without_an_environment_fine_tuning_says_so_and_writes_empty_tables(project, capsys):
    finetune.main("scratch", TASK, "dreamerv3")
    assert f"{TASK} is imported and has no environment: not fine-tuned" in capsys.readouterr().err
    folder = Path("results/online/scratch") / TASK / "dreamerv3"
    kept = ["evaluation_episodes.parquet", "manifest.json", "online.parquet", "training_episodes.parquet"]
    assert sorted(f.name for f in folder.iterdir()) == kept
    evaluations, episodes = (pl.read_parquet(folder / name) for name in ("online.parquet", "training_episodes.parquet"))
    assert evaluations.is_empty() and episodes.is_empty()
    assert evaluations.schema["return"] == pl.Float64 and evaluations.schema["env_steps"] == pl.Int64
    assert list(evaluations.columns) == [*finetune.IDENTITY, *finetune.EVALUATION]
    assert list(episodes.columns) == [*finetune.IDENTITY, *finetune.EPISODE]
