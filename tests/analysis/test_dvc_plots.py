"""`dvc plots diff` of two encoders' experiments: what they share is drawn once, and every encoder has a colour of its own."""

import re
from collections import Counter
from typing import Any

import pytest
import vl_convert
from dvc_render.vega import VegaRenderer

from tests.synthetic import ROOT

REFERENCES = ("state", "scratch", "random_cnn", "autoencoder", "predict_mean", "repeat_last")


def datapoints(experiments: dict[str, str], y: dict[str, float]) -> list[dict[str, Any]]:
    """As DVC hands them over, numbers being text; `experiments`: name -> selected encoder."""
    own = {"task": "t", "algorithm": "a"}
    return [
        own | {"rev": rev, "encoder": encoder, "axis": axis, "severity": str(x), "mae": str(y.get(rev + encoder, 1.0) + x)}
        for rev, selected in experiments.items()
        for encoder in (*REFERENCES, selected)
        for axis in ("camera", "texture")
        for x in (0.0, 0.5, 1.0)
    ]


def drawn(template: str, points: list[dict[str, Any]]) -> tuple[int, Counter[str], int]:
    """Lines, points by what they say of their experiment, and colours of lines."""
    chart = VegaRenderer(points, "plot", template=template, template_dir=ROOT / ".dvc/plots", x="severity", y="mae")
    svg = vl_convert.vegalite_to_svg(chart.get_filled_template(), vl_version="5.20")
    lines = re.findall(r'aria-roledescription="line mark"[^>]*stroke="([^"]+)"', svg)
    said = re.findall(r'aria-label="[^"]*rev: ([^;"]+)[^"]*"[^>]*aria-roledescription="point"', svg)
    return len(lines), Counter(said), len(set(lines))


@pytest.mark.parametrize(("template", "axes"), [("encoders_by_axis", 2), ("encoders", 1)])
def test_shared_encoders_are_drawn_once_and_eight_have_eight_colours(template: str, axes: int) -> None:
    points = datapoints({"exp-a": "clip_vitb16", "exp-b": "vip_rn50"}, {})
    points = points if axes == 2 else [p for p in points if p["axis"] == "camera"]
    lines, said, colours = drawn(template, points)
    assert said == {"the same in 2": 6 * 3 * axes, "exp-a": 3 * axes, "exp-b": 3 * axes}
    assert lines == 8 * axes and colours == 8


def test_what_differs_is_drawn_for_each_experiment() -> None:
    points = [p for p in datapoints({"exp-a": "vip_rn50", "exp-b": "vip_rn50"}, {"exp-bscratch": 2.0}) if p["axis"] == "camera"]
    lines, said, _ = drawn("encoders", points)
    assert lines == 8 and said["exp-a"] == said["exp-b"] == 3


def test_one_experiment_alone_keeps_its_name() -> None:
    _, said, _ = drawn("encoders_by_axis", datapoints({"workspace": "vip_rn50"}, {}))
    assert set(said) == {"workspace"}
