"""The finished page in a real browser: opened from disk, it draws every chart and logs no error."""

import re
import shutil
import subprocess
from pathlib import Path

import polars as pl
import pytest

from analysis.charts import Figure, Panel
from analysis.page import Look, Page, Section, render_page, static_svg

CHROMIUM = shutil.which("chromium")
FLAGS = [
    "--headless", "--no-sandbox", "--disable-gpu", "--no-first-run", "--disable-background-networking", "--disable-sync",
    "--disable-component-update", "--enable-logging=stderr", "--virtual-time-budget=8000", "--dump-dom",
]  # fmt: skip


@pytest.mark.skipif(CHROMIUM is None, reason="chromium is not installed")
def test_every_chart_is_drawn_without_an_error(tmp_path: Path) -> None:
    encoding = {"x": {"field": "x", "type": "quantitative"}, "y": {"field": "y", "type": "quantitative"}}
    spec = {
        "$schema": "https://vega.github.io/schema/vega-lite/v6.json", "params": [{"name": "hidden", "value": []}],
        "width": "container",
        "data": {"values": [{"x": 1, "y": 2, "note": "</script>"}]}, "mark": "point", "encoding": encoding,
    }  # fmt: skip
    panels = [Panel("one", spec), Panel("two", spec)]
    table = pl.DataFrame({"encoder": ["state", None], "mae": [0.5, None]})
    figure = Figure("f", "Figure", "Caption", panels, table, ["state"])
    page = Page(
        "Title", "subtitle", "caveat", ["state"], "state", [Look("task", b"", "", table)], table,
        [Section("s", "s", ["Found."], table, [figure])], {"params": "0" * 64}, "{}",
    )  # fmt: skip
    svgs = {("s", "f", index): static_svg(panel) for index, panel in enumerate(panels)}
    (tmp_path / "index.html").write_text(render_page(page, svgs))
    arguments = [str(CHROMIUM), *FLAGS, f"--user-data-dir={tmp_path / 'profile'}", (tmp_path / "index.html").as_uri()]
    done = subprocess.run(arguments, capture_output=True, text=True, timeout=120)
    assert "CONSOLE" not in done.stderr, [line for line in done.stderr.splitlines() if "CONSOLE" in line]
    drawn = re.sub(r"<noscript>.*?</noscript>", "", done.stdout, flags=re.DOTALL)
    assert len(re.findall(r'<svg[^>]*class="marks"', drawn)) == len(panels)
