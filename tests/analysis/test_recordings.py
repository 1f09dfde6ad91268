"""Imagined rollouts on the page: the frames are the stored ones, pixel for pixel, and stand under their steps."""

import base64
import io
import re
from pathlib import Path
from xml.etree import ElementTree

import numpy as np
import polars as pl
import pytest
from PIL import Image

from analysis.chosen import best_episode
from analysis.recordings import recorded, rollouts, shown, wanted
from analysis.strip_layout import SIDE, layout
from analysis.tables import RECORDINGS
from pipeline import report
from pipeline.filmstrip import frames_at, recorded_frames
from tests.analysis.planted import SMALL, frame, recordings, write_tree
from tests.synthetic import TASK, write_params

ENCODERS = ["state", "scratch", "random_cnn", "autoencoder"]
CELL = (TASK, "dreamerv3")


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    made = tmp_path_factory.mktemp("recordings")
    write_tree(made, SMALL)
    return made


@pytest.fixture(scope="module")
def table() -> pl.DataFrame:
    return pl.concat([recordings(encoder, SMALL) for encoder in ENCODERS])


def test_the_best_behaviour_is_shown_and_words_of_others_come_last():
    assert best_episode([("random", 3), ("replay", 9), ("replay", 7)]) == ("replay", 7)
    assert best_episode([("human", 1), ("random", 3)]) == ("random", 3)


def test_frames_are_those_of_the_tars_pixel_for_pixel(root: Path, table: pl.DataFrame):
    needed = wanted(rollouts(table, *CELL))
    stored, shown = (make(root / "data/frames" / TASK, needed) for make in (frames_at, recorded_frames))
    assert stored.keys() == shown.keys() == needed and len(needed) == 16
    for (episode, t), picture in shown.items():
        np.testing.assert_array_equal(stored[episode, t], frame(episode, t))
        np.testing.assert_array_equal(np.asarray(Image.open(io.BytesIO(picture))), frame(episode, t))


def test_moments_lie_evenly_from_the_contexts_end_to_the_episodes(table: pl.DataFrame):
    steps = shown(rollouts(table, *CELL))
    assert len(steps) == 8 and steps[0] == 10 and steps[-1] == SMALL.steps
    assert set(np.diff(steps)) <= {4, 5}
    short = rollouts(table, *CELL).filter(pl.col("t") <= 12)
    assert shown(short) == [10, 11, 12]


def _film(root: Path, table: pl.DataFrame):
    own = rollouts(table, *CELL)
    return recorded(table, *CELL, ENCODERS, recorded_frames(root / "data/frames" / TASK, wanted(own)))


def test_the_trace_stands_above_the_frames_of_its_steps(root: Path, table: pl.DataFrame):
    film = _film(root, table)
    assert [rollout.encoder for rollout in film.rollouts] == ENCODERS and film.context == 10
    at = layout(film, film.rollouts[0])
    points = [tuple(map(float, point.split(","))) for point in at.true[0].split(" ")]
    assert len(points) == SMALL.steps
    assert [points[t - 1][0] for t in film.shown] == at.centres
    assert min(np.diff(at.centres)) >= SIDE and at.centres[-1] + SIDE / 2 <= at.width
    heights = np.array([y for _, y in points])
    assert np.corrcoef(heights, film.rollouts[0].reward)[0, 1] == pytest.approx(-1, abs=1e-4)


def test_what_is_not_finite_leaves_a_gap_not_a_failure(root: Path, table: pl.DataFrame):
    late = (pl.col("encoder") == "state") & (pl.col("t") > 20)
    broken = table.with_columns(
        reward_pred=pl.when(late).then(float("nan")).otherwise("reward_pred").cast(pl.Float32),
        **{name: pl.when(~late).then(name) for name in ("nearest_episode", "nearest_t", "nearest_state_distance")},
    ).cast(RECORDINGS)
    film = _film(root, broken)
    state = film.rollouts[0]
    assert [near is None for near in state.nearest] == [t > 20 for t in film.shown]
    assert len(layout(film, state).predicted[0].split(" ")) == 20
    assert all("nan" not in points for points in layout(film, state).predicted)


def test_without_recordings_or_frames_there_is_no_strip(root: Path, table: pl.DataFrame):
    assert recorded(pl.DataFrame(), *CELL, ENCODERS, {}) is None
    assert recorded(table, TASK, "tdmpc2", ENCODERS, {}) is None
    assert recorded(table, *CELL, ENCODERS, {}) is None


def test_the_page_shows_them_and_the_table_is_gathered(root: Path, table: pl.DataFrame, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.chdir(root)
    monkeypatch.setenv("ENCORE_STORE", str(root / "store"))
    write_params(root, lambda v: (v["report"].update(bootstrap=50), v["evaluate"].update(horizon=SMALL.short))[0])
    report.main()
    gathered = pl.read_parquet("results/recordings.parquet")
    assert dict(gathered.schema) == RECORDINGS
    assert gathered.sort("encoder", "t").equals(table.sort("encoder", "t"))
    page = Path("report/index.html").read_text()
    (figure,) = re.findall(rf'<figure id="{TASK}-dreamerv3-recording">.*?</figure>', page, re.DOTALL)
    pictures = dict(re.findall(r'<image id="([^"]*)"[^>]*href="data:image/png;base64,([^"]*)"', figure))
    strips = [ElementTree.fromstring(svg) for svg in re.findall(r'<svg class="recording".*?</svg>', figure, re.DOTALL)]
    assert len(strips) == len(ENCODERS)
    own = rollouts(table, *CELL)
    at = own.filter(pl.col("encoder") == "scratch", pl.col("t").is_in(shown(own)))
    true, found = at.select("episode", "t").rows(), at.select("nearest_episode", "nearest_t").rows()
    for strip in strips:
        used = [use.attrib["href"].removeprefix("#") for use in strip.iter("use")]
        assert used == [f"{TASK}-dreamerv3-recording-{e}-{t}" for pair in zip(true, found, strict=True) for e, t in pair]
    for name, data in pictures.items():
        episode, t = map(int, name.split("-")[-2:])
        np.testing.assert_array_equal(np.asarray(Image.open(io.BytesIO(base64.b64decode(data)))), frame(episode, t))
    assert "0.8 (0.2)" in figure and len(page) < 15e6


def test_only_the_first_seed_is_shown(table: pl.DataFrame):
    two = pl.concat([table.with_columns(seed=pl.lit(1, pl.Int64)), table])
    assert rollouts(two, *CELL).equals(rollouts(table, *CELL))
