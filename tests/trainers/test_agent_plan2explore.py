"""The ensemble's disagreement: each member is a network of its own, and where they were taught they agree."""

import torch
import torch.nn.functional as F

from trainers.agent.plan2explore import Disagreement
from trainers.worldmodel.layers import EPS


def _ensemble(members: int = 5) -> Disagreement:
    torch.manual_seed(0)
    return Disagreement(members, feature_dim=2, action_dim=1, latent_dim=3, units=16, layers=2)


def test_every_member_is_a_perceptron_of_its_own():
    ensemble, feature, action = _ensemble(), torch.randn(7, 2), torch.randn(7, 1)
    predicted = ensemble(feature, action)
    assert predicted.shape == (5, 7, 3)
    for member in range(5):
        x = torch.cat([feature, action], -1)
        for layer in range(3):
            x = x @ ensemble.weights[layer][member] + ensemble.biases[layer][member]
            if layer < 2:
                x = F.silu(x / (x.square().mean(-1, keepdim=True) + EPS).sqrt())
        torch.testing.assert_close(predicted[member], x)
    torch.testing.assert_close(ensemble.bonus(feature, action), predicted.std(0, correction=0).mean(-1))
    assert ensemble.bonus(feature.expand(4, 7, 2), action.expand(4, 7, 1)).shape == (4, 7)


def test_the_loss_is_of_transitions_within_episodes():
    ensemble = _ensemble()
    feature, latent, action = torch.randn(2, 4, 2), torch.randn(2, 4, 3), torch.randn(2, 4, 1)
    first = torch.tensor([[True, False, True, False], [False, False, False, False]])
    errors = [
        0.5 * (ensemble(feature[b, t - 1 : t], action[b, t : t + 1])[:, 0] - latent[b, t]).square().sum()
        for b in range(2)
        for t in range(1, 4)
        if not first[b, t]
    ]
    torch.testing.assert_close(ensemble.loss(feature, latent, action, first), torch.stack(errors).mean())


def test_members_agree_on_what_they_were_taught_and_not_elsewhere():
    ensemble, generator = _ensemble(), torch.Generator().manual_seed(1)
    optimiser = torch.optim.Adam(ensemble.parameters(), lr=3e-3)
    for _ in range(400):
        feature = torch.rand(8, 9, 2, generator=generator)  # the unit square alone
        action = torch.rand(8, 9, 1, generator=generator)
        latent = torch.cat([torch.zeros(8, 1, 3), torch.cat([feature, action.roll(-1, 1)], -1)[:, :-1].sin()], 1)
        optimiser.zero_grad()
        ensemble.loss(feature, latent, action, torch.zeros(8, 9, dtype=torch.bool)).backward()
        optimiser.step()
    with torch.no_grad():
        known = ensemble.bonus(torch.rand(100, 2), torch.rand(100, 1)).mean()
        unknown = ensemble.bonus(3 + torch.rand(100, 2), torch.rand(100, 1) - 4).mean()
    assert known < 0.05 and unknown > 5 * known
