"""The finished report in a real browser: opened from disk, it draws every chart, its links lead somewhere, nothing is cut off."""

import dataclasses
import os
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import polars as pl
import pytest

from analysis.behaviour import behaviour_table
from analysis.filmstrip import chosen_episode, moments
from analysis.page import Look
from analysis.recordings import rollouts, wanted
from analysis.resample import Resampling
from analysis.results import Results, summarise
from analysis.tables import write_table
from analysis.writer import Context, write_report
from tests.analysis.planted import SMALL, learning, online, recordings, reward_error
from tests.analysis.shown import PNG, evidence
from tests.synthetic import TASK

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page

CHROMIUM = shutil.which("chromium")
ENCODERS = ["autoencoder", "state", "scratch", "random_cnn"]
WIDTHS = (1280, 390)
pytestmark = [
    pytest.mark.skipif(CHROMIUM is None, reason="chromium is not installed"),
    pytest.mark.xdist_group("browser"),
]


@pytest.fixture(scope="module")
def report(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A whole report of planted tables."""
    folder = tmp_path_factory.mktemp("browser")
    parts = {}
    for encoder in ENCODERS:
        parts[encoder] = [folder / f"{encoder}.parquet"]
        write_table(reward_error(encoder, SMALL), parts[encoder][0])
    curves = pl.concat([learning(e, SMALL) for e in ENCODERS])
    tuned = pl.concat([online(e) for e in ENCODERS])
    how = Resampling(100, 0.95, 0)
    results = summarise(parts, curves, tuned, SMALL.short, how, ["A part was missing."], lambda paths, _: paths)
    write_report(results, _context(results), folder / "report")
    return folder / "report/index.html"


def _context(results: Results) -> Context:
    behaviour = behaviour_table(TASK, ["expert", "random"], [True, False], [800.0, 100.0])
    sheet = Look(TASK, PNG, "The looks.", pl.DataFrame({"axis": ["texture"], "pixel_change": [5.5]}))
    _, episode = chosen_episode(results.traces)
    shown = moments(int(results.traces.filter(pl.col("episode") == episode)["t"].max()))  # type: ignore[arg-type]
    frames = {variant: dict.fromkeys(shown, PNG) for variant in results.traces["variant"].unique()}
    context = Context("embedded", 0.95, [sheet], behaviour, {TASK: 800.0}, {"params": "0" * 64}, '{"a": "</script>"}')
    imagined = pl.concat([recordings(encoder, SMALL) for encoder in ENCODERS])
    found = dict.fromkeys(wanted(rollouts(imagined, TASK, "dreamerv3")), PNG)
    context = dataclasses.replace(context, recordings=imagined, recorded={TASK: found})
    return dataclasses.replace(context, commit="0" * 40, evidence=evidence(ENCODERS), frames={TASK: frames})


@pytest.fixture(scope="module")
def browser() -> "Iterator[Browser]":
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        # Not as root (as in a container) does Chromium's own sandbox need anything of the system.
        flags = ["--no-sandbox"] if os.getuid() == 0 else []
        yield playwright.chromium.launch(executable_path=CHROMIUM, args=flags)


@pytest.fixture(scope="module", params=WIDTHS)
def page(browser: "Browser", report: Path, request: pytest.FixtureRequest) -> "Iterator[Page]":
    opened = browser.new_page(viewport={"width": request.param, "height": 900})
    said: list[str] = []
    opened.on("console", lambda message: said.append(message.text))
    opened.on("pageerror", lambda error: said.append(str(error)))
    opened.on("request", lambda asked: None if asked.url.startswith(("file:", "data:")) else said.append(asked.url))
    opened.goto(report.as_uri())
    count = opened.locator(".chart").count()
    opened.wait_for_function(f"document.querySelectorAll('.chart svg.marks').length === {count}", timeout=60_000)
    assert count > 20 and said == []
    yield opened
    assert said == []
    opened.close()


def test_every_chart_has_marks(page: "Page") -> None:
    empty = page.evaluate(
        """() => [...document.querySelectorAll('.chart')].filter(c => !c.querySelector(
             'svg.marks .mark-symbol path, svg.marks .mark-line path, svg.marks .mark-rule line, svg.marks .mark-area path'))
             .map(c => c.closest('figure').id)"""
    )
    assert empty == []


def test_every_figure_is_there(page: "Page") -> None:
    names = {name.rsplit("-", 1)[-1] for name in page.evaluate("[...document.querySelectorAll('figure[id]')].map(f => f.id)")}
    assert names == {
        "shift", "contrast", "horizon", "traces", "breakdown", "calibration", "dynamics", "learning", "online",
        "filmstrip", "recording", "measures", "manifold", "probes", "nuisance", "relation", "scores",
    }  # fmt: skip


def test_recorded_frames_are_drawn_where_they_are_used(page: "Page") -> None:
    boxes = page.evaluate("[...document.querySelectorAll('svg.recording use')].map(u => u.getBoundingClientRect().toJSON())")
    assert len(boxes) == len(ENCODERS) * 2 * 8
    assert all(box["width"] == pytest.approx(88, abs=1) == box["height"] for box in boxes)


def test_links_lead_somewhere(page: "Page") -> None:
    targets = page.evaluate("[...document.querySelectorAll('a')].map(a => a.getAttribute('href'))")
    assert len(targets) > 6
    for target in targets:
        assert target.startswith("#") and page.evaluate("id => document.getElementById(id) !== null", target[1:]), target


def test_no_text_is_cut_off(page: "Page") -> None:
    assert page.evaluate("document.documentElement.scrollWidth <= window.innerWidth")
    outside = page.evaluate(
        """() => [...document.querySelectorAll('h1,h2,h3,h4,p,li,figcaption,button,label,dt,dd,svg.marks text')].filter(e => {
             if (e.closest('.scroll') || e.closest('details:not([open])') || e.closest('noscript')) return false;
             const box = e.getBoundingClientRect();
             if (!box.width) return false;
             const chart = e.closest('.chart');
             const frame = chart ? chart.getBoundingClientRect() : {left: 0, right: window.innerWidth};
             return box.left < frame.left - 1 || box.right > frame.right + 1;
           }).map(e => e.textContent.slice(0, 60))"""
    )
    assert outside == []


def test_a_representation_can_be_switched_off_and_pointed_at(page: "Page") -> None:
    faint = 'document.querySelectorAll(\'svg.marks [fill="#dfe3e8"], svg.marks [stroke="#dfe3e8"]\').length'
    lines = "document.querySelectorAll('svg.marks .mark-line path').length"
    drawn = page.evaluate(lines)
    chip = page.locator(".chip[data-encoder=scratch]").first
    chip.hover()
    page.wait_for_function(f"{faint} > 10")
    page.mouse.move(0, 0)
    page.wait_for_function(f"{faint} === 0")
    chip.click()
    page.wait_for_function(f"{lines} < {drawn}")
    assert page.locator(".chip[data-encoder=scratch][aria-pressed=true]").count() == 0
    chip.click()
    page.mouse.move(0, 0)
    page.wait_for_function(f"{lines} === {drawn}")


def test_without_scripts_the_figures_are_pictures(browser: "Browser", report: Path) -> None:
    context = browser.new_context(java_script_enabled=False, viewport={"width": 390, "height": 900})
    opened = context.new_page()
    opened.goto(report.as_uri())
    assert opened.locator("noscript svg").count() == opened.locator(".chart").count() > 20
    assert opened.locator("noscript svg").first.is_visible()
    context.close()
