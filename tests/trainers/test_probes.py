"""Probes against scikit-learn and planted truth: what can be read is read, noise is not; figures of clouds are the known ones."""

import numpy as np
import pytest
import torch
from sklearn.linear_model import Ridge as Reference
from sklearn.neighbors import KNeighborsRegressor

from datasets.errors import DataError
from trainers.probes.geometry import between_groups, principal, signal_to_nuisance, two_nn
from trainers.probes.knn import fit_knn
from trainers.probes.probe import ask
from trainers.probes.ridge import PENALTIES, fit_ridge, held_out
from trainers.probes.targets import as_vectors, evenly, varying
from trainers.worldmodel.observation import standardisation


def _random(*shape: int, seed: int = 0) -> torch.Tensor:
    return torch.from_numpy(np.random.default_rng(seed).normal(size=shape)).float()


GROUP = torch.arange(400) // 40


def test_a_linear_map_is_found_exactly_and_noise_is_not_read():
    x = _random(400, 6) * torch.tensor([1.0, 100.0, 0.1, 3.0, 1.0, 1.0]) + 7
    given = {"state": x @ _random(6, 3, seed=1) + 2, "reward": _random(400, 1, seed=2)}
    asked = ask(given)
    ridge = fit_ridge(x, asked.joined(given), GROUP)
    errors = {name: float(values.mean()) for name, values in asked.errors(ridge, x, given).items()}
    assert errors["state"] < 1e-6
    assert 0.95 < errors["reward"] <= 1.0
    assert ridge.penalty[0] == PENALTIES[0] and ridge.penalty[3] >= 10
    fresh = _random(400, 6, seed=3)
    assert float(asked.errors(ridge, fresh, {**given, "state": fresh @ _random(6, 3, seed=1) + 2})["state"].mean()) < 1e-4


def test_ridge_agrees_with_scikit_learn_at_the_penalty_that_is_best_on_the_held_out_groups():
    x = _random(400, 30)
    y = x @ _random(30, 2, seed=1) + 20 * _random(400, 2, seed=2)
    ridge = fit_ridge(x, y, GROUP)
    mean, scale = (values.numpy() for values in standardisation(x))
    z, held, truth = (x.numpy() - mean) / scale, held_out(GROUP).numpy(), y.numpy().astype("float64")
    for channel in range(2):
        fits = [Reference(alpha=alpha).fit(z[~held], truth[~held, channel]) for alpha in PENALTIES]
        best = np.argmin([((fit.predict(z[held]) - truth[held, channel]) ** 2).mean() for fit in fits])
        assert float(ridge.penalty[channel]) == PENALTIES[best]
        expected = Reference(alpha=PENALTIES[best]).fit(z, truth[:, channel]).predict(z)
        np.testing.assert_allclose(ridge.predict(x)[:, channel], expected, rtol=1e-3, atol=1e-4)


def test_more_channels_than_rows_and_equal_channels_are_no_problem():
    x = _random(60, 20).repeat(1, 5)
    made = fit_ridge(x, x[:, :1], torch.arange(60) // 6).predict(x)
    np.testing.assert_allclose(made, x[:, :1], atol=0.05)


def test_groups_are_held_out_whole():
    assert held_out(torch.tensor([3, 3, 5, 5, 9, 9, 9])).tolist() == [False] * 4 + [True] * 3
    many = held_out(torch.arange(10))
    assert many.nonzero().squeeze(1).tolist() == [4, 9]
    assert held_out(torch.zeros(10)).tolist() == [False] * 8 + [True] * 2


def test_what_is_not_finite_is_named():
    with pytest.raises(DataError, match="not finite"):
        fit_ridge(torch.full((5, 2), float("nan")), torch.zeros(5, 1), torch.arange(5))


def test_neighbours_agree_with_scikit_learn():
    x, y, fresh = _random(300, 8), _random(300, 3, seed=1), _random(2000, 8, seed=2)
    mean, scale = (values.numpy() for values in standardisation(x))
    reference = KNeighborsRegressor(5).fit((x.numpy() - mean) / scale, y.numpy())
    np.testing.assert_allclose(fit_knn(x, y).predict(fresh), reference.predict((fresh.numpy() - mean) / scale), atol=1e-5)
    assert fit_knn(x[:3], y[:3]).predict(fresh[:2]).shape == (2, 3)


def test_errors_are_in_units_of_the_training_variance_and_constant_channels_are_left_out():
    rows = torch.stack([torch.tensor([0.0, 2.0, 4.0]), torch.full((3,), 5.0)], 1)
    asked = ask({"state": rows, "reward": torch.ones(3, 1)})
    assert list(asked.channels) == ["state"] and asked.channels["state"].kept.tolist() == [0]

    class Mean:
        def predict(self, x: torch.Tensor) -> torch.Tensor:
            return torch.zeros(len(x), 1)

    errors = asked.errors(Mean(), rows, {"state": rows})["state"]
    assert errors.mean().item() == pytest.approx(1.0)
    assert errors.tolist() == pytest.approx([1.5, 0, 1.5])
    nothing = ask({"state": torch.zeros(3, 0)})
    assert nothing.errors(Mean(), rows, {"state": torch.zeros(3, 0)}) == {}
    assert varying(rows * torch.tensor([1.0, 0.0]), 1e-2).kept.tolist() == [0]
    assert varying(torch.full((7, 2), 0.1), 1e-6).kept.tolist() == []  # but for rounding


def test_rows_become_vectors():
    frames = torch.zeros(3, 32, 32, 3, dtype=torch.uint8)
    frames[1, :16] = 255
    made = as_vectors(frames, torch.tensor([1, 2]), 8)
    assert made.shape == (2, 8 * 8 * 3)
    assert made[0].unflatten(0, (8, 8, 3))[:4].unique().tolist() == [1.0] and made[1].unique().tolist() == [0.0]
    tokens = torch.arange(24.0).view(2, 2, 2, 3).half()
    assert as_vectors(tokens, torch.tensor([0]), 8).tolist() == [[4.5, 5.5, 6.5]]
    assert evenly(10, 4).tolist() == [0, 3, 6, 9] and evenly(3, 9).tolist() == [0, 1, 2]


@pytest.mark.parametrize("dimension", [1, 2, 5])
def test_the_intrinsic_dimension_is_that_of_the_manifold_whatever_it_lies_in(dimension: int):
    inside = np.random.default_rng(0).uniform(size=(2000, dimension))
    curved = np.concatenate([np.cos(inside), np.sin(inside)], 1) @ np.random.default_rng(1).normal(size=(2 * dimension, 40))
    assert two_nn(torch.from_numpy(curved)) == pytest.approx(dimension, rel=0.12)


def test_steps_of_an_episode_lie_on_a_line_unless_they_are_far_apart():
    rng = np.random.default_rng(0)
    walks = np.cumsum(rng.normal(size=(20, 2000, 3)) * 0.3, axis=1)
    smooth = np.stack([np.convolve(walk, np.ones(50) / 50, "valid") for walk in walks.transpose(0, 2, 1).reshape(60, 2000)])
    x = torch.from_numpy(np.sin(smooth).reshape(20, 3, -1).transpose(0, 2, 1))  # (episodes, steps, 3), smooth in time
    close, apart = two_nn(x[:, :100].flatten(0, 1)), two_nn(x[:, ::100].flatten(0, 1))
    assert close is not None and abs(close - 3) > 1
    assert apart == pytest.approx(3, rel=0.2)


def test_the_dimension_of_too_few_or_equal_points_is_undefined():
    assert two_nn(torch.zeros(10, 3)) is None
    assert two_nn(torch.randn(1, 3)) is None
    assert two_nn(torch.randn(2, 3)) is None


def test_distances_between_groups_are_those_of_all_pairs():
    x, group = _random(30, 4).double() + 50, torch.arange(30) // 7
    distance = torch.cdist(x, x, compute_mode="donot_use_mm_for_euclid_dist").square()
    apart = group[:, None] != group
    assert between_groups(x, group) == pytest.approx(float(distance[apart].mean()))
    moved = x + torch.tensor([0.5, 0, 0, 0])
    assert signal_to_nuisance(x, moved, group) == pytest.approx(float(distance[apart].mean()) / 0.25)
    assert signal_to_nuisance(x, x, group) is None
    assert signal_to_nuisance(x, moved, torch.zeros(30)) is None


def test_principal_components_are_those_of_the_singular_values():
    x = _random(50, 6) * torch.tensor([5.0, 3, 2, 1, 0.5, 0.1])
    made = principal(x, 3)
    centred = (x - x.mean(0)).double()
    left, values, _ = torch.linalg.svd(centred, full_matrices=False)
    np.testing.assert_allclose(made.abs(), (left * values)[:, :3].abs(), atol=1e-4)
    torch.testing.assert_close(principal(x, 3), made, rtol=0, atol=0)
    assert principal(x, 50).shape == (50, 6)
