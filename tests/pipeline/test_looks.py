"""A look changes only what is seen, grows with its severity, keeps its split's directions, and is nothing at severity 0."""

from functools import cache
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from datasets.errors import UserError
from datasets.frames import Look
from pipeline.sim.env import TaskEnv, View
from pipeline.sim.looks.axis import Axis
from pipeline.sim.looks.color import settings
from pipeline.sim.looks.draw import Draw
from pipeline.sim.looks.pattern import check_images
from pipeline.sim.looks.size import size_factor
from pipeline.sim.measure import ssim
from pipeline.sim.names import ALL
from pipeline.sim.names import AXES as NAMES
from pipeline.sim.render import Renderer
from pipeline.sim.tasks import Simulation, model_arrays
from pipeline.sim.variants import AXES, looks

PAIRED = ["texture", "lighting", "camera", "drift", "color", "distractors"]
TASKS = ["cartpole_swingup", "walker_walk", "cheetah_run", "reacher_easy", "ball_in_cup_catch", "pendulum_swingup", "finger_spin"]
SAME_GEOMETRY = ["texture", "lighting", "color", "distractors"]
# Fields of the model that say how it looks; all others are physics.
APPEARANCE = ("tex_", "mat_", "geom_rgba", "light_", "cam_", "name", "nam", "paths", "text_")


def look(axis: str, severity: float, seed: int = 0, split: str = "ood", images: tuple[str, ...] = ()) -> Look:
    return Look(f"{axis}-{severity}-{seed}", axis, severity, seed, split, images)


def seen(task: str, chosen: Look | None, size: int = 64) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Picture, segmentation and body mask after a few steps."""
    simulation = Simulation(task, chosen)
    simulation.reset(3)
    for _ in range(6):
        simulation.advance(simulation.action_high, 2)
    renderer = Renderer(simulation, size, 0, "fast")
    picture = renderer.render().astype(int), renderer.segmentation(), renderer.body_mask()
    renderer.close()
    return picture


@cache
def default(task: str) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    return seen(task, None)


def test_the_names_are_the_axes():
    assert sorted(NAMES) == sorted(AXES)
    assert {name for name, axis in AXES.items() if axis.paired} == set(PAIRED)


def test_the_list_is_every_axis_severity_and_draw_of_a_split():
    listed = looks(["texture", "all"], [0.25, 1.0], 2, seed=0)
    assert [one.variant for one in listed[:4]] == ["texture-0.25-0", "texture-0.25-1", "texture-1.00-0", "texture-1.00-1"]
    assert len(listed) == 2 * 2 * 2
    assert {one.split for one in listed} == {"ood"}
    assert [one.variant for one in looks(["color"], [1.0], 2, 0, "id")] == ["color-1.00-id0", "color-1.00-id1"]
    assert {one.seed for one in listed}.isdisjoint(one.seed for one in looks(["texture"], [1.0], 2, seed=1))


def test_two_looks_of_one_name_are_refused():
    with pytest.raises(UserError, match=r"repeats camera-0\.50-0"):
        looks(["camera"], [0.5, 0.501], 1, 0)


@pytest.mark.parametrize("axis", [*PAIRED, "size", ALL])
def test_severity_zero_is_the_default_look_bit_for_bit(axis):
    picture, segmentation, _ = seen("cartpole_swingup", look(axis, 0.0))
    assert np.array_equal(picture, default("cartpole_swingup")[0])
    assert np.array_equal(segmentation, default("cartpole_swingup")[1])


@pytest.mark.parametrize("axis", [*PAIRED, ALL])
@pytest.mark.parametrize("task", TASKS)
def test_the_picture_differs_more_the_greater_the_severity_and_the_body_stays_visible(task, axis):
    picture, _, body = default(task)
    changes, perceived = [], []
    for severity in (0.25, 0.5, 1.0):
        shifted, _, mask = seen(task, look(axis, severity))
        changes.append(np.abs(shifted - picture).mean())
        perceived.append(1 - ssim(shifted.astype(np.uint8), picture.astype(np.uint8)))
    assert 0 < changes[0] < changes[1] < changes[2]
    assert 0 < perceived[0] < perceived[1] < perceived[2]
    assert mask.sum() > 0.5 * body.sum()
    assert np.abs(shifted[mask].mean(axis=0) - shifted[~mask].mean(axis=0)).mean() > 15  # it stands out, by grey levels of 255


@pytest.mark.parametrize("axis", SAME_GEOMETRY)
@pytest.mark.parametrize("task", TASKS)
def test_the_same_step_shows_the_same_objects_at_the_same_pixels(task, axis):
    assert np.array_equal(seen(task, look(axis, 1.0))[1], default(task)[1])


@pytest.mark.parametrize("axis", [*PAIRED, ALL])
@pytest.mark.parametrize("task", ["cartpole_swingup", "cheetah_run", "swimmer_swimmer6"])
def test_only_the_models_appearance_changes(task, axis):
    before, after = (model_arrays(Simulation(task, chosen).model) for chosen in (None, look(axis, 1.0)))
    for name, array in before.items():
        if not name.startswith(APPEARANCE):
            assert np.array_equal(array, after[name], equal_nan=array.dtype.kind == "f"), name


@pytest.mark.parametrize("task", ["cartpole_swingup", "walker_walk"])
def test_the_physics_is_the_same_under_every_paired_look(task):
    view = View(32, 0, "fast", look(ALL, 1.0))
    plain, shifted = TaskEnv(task, 2, 40), TaskEnv(task, 2, 40, view)
    for env in (plain, shifted):
        env.reset(seed=4)
    for _ in range(12):
        (_, reward_a, *_), (_, reward_b, *_) = (env.step(env.action_high) for env in (plain, shifted))
        assert reward_a == reward_b
        assert np.array_equal(plain.physics_state(), shifted.physics_state())
    shifted.close()


@pytest.mark.parametrize("axis", PAIRED)
def test_a_look_is_a_function_of_its_seed_and_split(axis):
    first, again = (seen("cheetah_run", look(axis, 1.0))[0] for _ in range(2))
    assert np.array_equal(first, again)
    assert not np.array_equal(first, seen("cheetah_run", look(axis, 1.0, seed=1))[0])
    assert not np.array_equal(first, seen("cheetah_run", look(axis, 1.0, split="id"))[0])


def test_a_fifth_of_every_direction_is_held_out():
    places = {split: [Draw("camera apply", seed, split).place() for seed in range(300)] for split in ("id", "ood")}
    assert 0 <= min(places["id"]) < 0.05 < 0.75 < max(places["id"]) < 0.8
    assert 0.8 <= min(places["ood"]) < 0.85 < 0.95 < max(places["ood"]) < 1
    chosen = {split: {Draw("color edit", seed, split).choose(range(100)) for seed in range(900)} for split in ("id", "ood")}
    assert chosen == {"id": set(range(80)), "ood": set(range(80, 100))}
    assert len(settings()) == 100
    assert {Draw("x", seed, split).choose(["one"]) for seed in range(3) for split in ("id", "ood")} == {"one"}
    assert {split: Draw("x", 0, split).choose(["a", "b"]) for split in ("id", "ood")} == {"id": "a", "ood": "b"}


def test_colours_are_the_benchmarks_at_severity_one():
    last = settings()[80:]
    model = Simulation("walker_walk", look("color", 1.0)).model
    body = model.mat_rgba[model.mat("self").id, :3]
    (setting,) = [s for s in last if np.allclose(s["self_rgb"], body, atol=1e-6)]
    assert np.abs(np.array(setting["grid_rgb1"]) * 255 - _texels(model, "grid")[40, 40]).max() <= 1  # MuJoCo rounds down


def _texels(model, name: str) -> np.ndarray:
    texture = model.tex(name).id
    height, width, channels = (int(a[texture]) for a in (model.tex_height, model.tex_width, model.tex_nchannel))
    start = int(model.tex_adr[texture])
    return model.tex_data[start : start + height * width * channels].reshape(height, width, channels)


def test_sizes_are_uniform_in_the_papers_range_and_the_largest_changes_are_held_out():
    factors = {split: [size_factor(1.0, Draw("size edit", seed, split)) for seed in range(400)] for split in ("id", "ood")}
    everything = [*factors["id"], *factors["ood"]]
    assert 0.7 <= min(everything) < 0.71
    assert 1.29 < max(everything) <= 1.3
    assert np.abs(np.array(factors["id"]) - 1).max() <= 0.24 <= np.abs(np.array(factors["ood"]) - 1).min()
    assert size_factor(0.5, Draw("size edit", 7, "ood")) - 1 == pytest.approx(
        (size_factor(1.0, Draw("size edit", 7, "ood")) - 1) / 2
    )


@pytest.mark.parametrize("task", TASKS)
def test_resized_geoms_all_scale_alike_about_their_centres_and_masses_follow(task):
    chosen = look("size", 1.0, seed=2)
    before, after = Simulation(task).model, Simulation(task, chosen).model
    factor = size_factor(1.0, Draw("size edit", 2, "ood"))
    moving = (before.geom_bodyid != 0) & (before.geom_type != 0)
    assert np.allclose(after.geom_size[moving], before.geom_size[moving] * factor)
    assert np.array_equal(after.geom_size[~moving], before.geom_size[~moving])
    assert np.allclose(after.geom_pos[before.geom_bodyid == 0], before.geom_pos[before.geom_bodyid == 0])
    assert np.allclose(after.jnt_pos, before.jnt_pos)
    assert after.nq == before.nq
    if task in ("walker_walk", "reacher_easy"):  # masses by density; cartpole's and pendulum's are given
        assert np.allclose(after.body_mass, before.body_mass * factor**3)


def test_further_lights_come_up_with_severity():
    counts = {}
    for severity in (0.0, 1.0):
        simulation = Simulation("cartpole_swingup", look("lighting", severity))
        simulation.reset(0)
        renderer = Renderer(simulation, 32, 0, "fast")
        renderer.render()
        counts[severity] = renderer._scene.nlight
        renderer.close()
    assert counts[1.0] > counts[0.0]


def test_in_standard_quality_shadows_fall_elsewhere():
    """The default look's shadow is gone from where it was, and the further lights' own shadows are there."""
    shots = {}
    for name, chosen in (("default", None), ("shifted", look("lighting", 1.0))):
        for quality in ("fast", "standard"):
            env = TaskEnv("walker_walk", 2, 40, View(64, 0, quality, chosen))
            shots[name, quality] = env.reset(seed=3)[0]["image"].astype(int)
            env.close()
    shadows = {name: np.abs(shots[name, "standard"] - shots[name, "fast"]).sum(axis=2) > 60 for name in ("default", "shifted")}
    assert shadows["default"].any()
    assert shadows["shifted"].any()
    assert (shadows["default"] ^ shadows["shifted"]).sum() > 0.2 * shadows["default"].sum()


def test_a_drifting_camera_starts_at_the_default_view_and_leaves_it_as_time_passes():
    drifting, still = (TaskEnv("cheetah_run", 10, 1000, View(64, 0, "fast", chosen)) for chosen in (look("drift", 1.0), None))
    change = []
    for env in (drifting, still):
        env.reset(seed=0)
    for _ in range(30):
        a, b = (env.step(np.zeros(6, np.float32))[0]["image"].astype(int) for env in (drifting, still))
        change.append(np.abs(a - b).mean())
    assert np.array_equal(drifting.reset(seed=1)[0]["image"], still.reset(seed=1)[0]["image"])
    assert change[0] < change[9] < change[29]
    drifting.close()
    still.close()


def test_distractors_move_and_never_touch_the_bodies():
    simulation = Simulation("walker_walk", look("distractors", 1.0))
    plain = Simulation("walker_walk")
    renderers = [Renderer(s, 64, 0, "fast") for s in (simulation, plain)]
    simulation.reset(0)
    plain.reset(0)
    mask = renderers[1].body_mask()
    early = [renderer.render().astype(int) for renderer in renderers]
    assert np.array_equal(early[0][mask], early[1][mask])
    assert np.abs(early[0][~mask] - early[1][~mask]).mean() > 5
    state = simulation.state()
    state[0] += 2.0  # mjSTATE_TIME comes first: the same pose, two seconds later
    simulation.restore_state(state)
    later = renderers[0].render().astype(int)
    assert np.abs(later[~mask] - early[0][~mask]).mean() > 1
    for renderer in renderers:
        renderer.close()


def test_axes_can_be_joined():
    simulation = Simulation("walker_walk", look("color+camera", 1.0))
    alone = [Simulation("walker_walk", look(axis, 1.0)) for axis in ("color", "camera")]
    assert np.array_equal(simulation.model.mat_rgba, alone[0].model.mat_rgba)
    assert np.array_equal(simulation.model.cam_fovy, alone[1].model.cam_fovy)


def test_the_users_images_are_painted_on_and_kept_apart_by_split(tmp_path: Path):
    files = []
    for name, colour in (("blue", (0, 0, 255)), ("green", (0, 255, 0))):
        files.append(str(tmp_path / f"{name}.png"))
        Image.new("RGB", (40, 30), colour).save(files[-1])
    for split, channel in (("id", 2), ("ood", 1)):  # in order of name: the last is held out
        shifted = _texels(Simulation("walker_walk", look("texture", 1.0, split=split, images=tuple(files))).model, "grid")
        plain = _texels(Simulation("walker_walk").model, "grid")
        assert (shifted[..., channel].astype(int) - plain[..., channel]).mean() > 40
        assert (shifted[..., 0].astype(int) - plain[..., 0]).mean() < 0


def test_an_image_that_is_none_is_one_line(tmp_path: Path):
    bad = tmp_path / "page.png"
    bad.write_text("<html>404</html>")
    with pytest.raises(UserError, match=r"render\.images: .*page\.png is not an image that can be read"):
        check_images([str(bad)])
    with pytest.raises(UserError, match=r"render\.images: .*none\.png does not exist"):
        check_images([str(tmp_path / "none.png")])


def test_a_look_that_cannot_be_made_is_one_line_that_names_it(monkeypatch: pytest.MonkeyPatch, tmp_path: Path):
    from pipeline.sim import replay
    from tests.pipeline.test_render import record

    def broken(spec, amplitude, draw):
        spec.worldbody.add_geom(type=99)

    monkeypatch.setitem(AXES, "color", Axis(edit=broken))
    data = record("cartpole_swingup", tmp_path)
    with pytest.raises(UserError, match=r"cartpole_swingup cannot be shown under look color-1\.0-0: "):
        replay.Replayer(data, look("color", 1.0), 32, 0, "fast")
