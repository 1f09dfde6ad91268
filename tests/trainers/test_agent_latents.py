"""Latents of replay: a window that begins in mid-episode has the states of one that began before it."""

import torch

from trainers.agent.behaviour import Behaviour, BehaviourConfig
from trainers.agent.dreamer import DreamerAgent
from trainers.agent.latents import Latents
from trainers.worldmodel import ModelConfig, WorldModel
from trainers.worldmodel.types import Batch, State


def _states(batch: int, length: int) -> State:
    generator = torch.Generator().manual_seed(0)
    deter = torch.randn(batch, length, 6, generator=generator)
    index = torch.randint(0, 4, (batch, length, 3), generator=generator)
    return State(deter, torch.nn.functional.one_hot(index, 4).float())


def test_what_was_kept_of_a_row_is_there_for_the_window_after_it():
    latents, states = Latents(6, 3, 4, torch.device("cpu")), _states(2, 5)
    latents.keep(torch.tensor([10, 40]), states)
    before, known = latents.before(torch.tensor([12, 45, 10, 200, 0]))
    assert known.tolist() == [True, True, False, False, False]
    torch.testing.assert_close(before.deter[:2], torch.stack([states.deter[0, 1], states.deter[1, 4]]), rtol=1e-3, atol=1e-3)
    assert torch.equal(before.stoch[:2], torch.stack([states.stoch[0, 1], states.stoch[1, 4]]))
    assert not before.deter[2:].any() and not before.stoch[2:].any()


def test_a_checkpoint_holds_them():
    latents, again = (Latents(6, 3, 4, torch.device("cpu")) for _ in range(2))
    latents.keep(torch.tensor([3]), _states(1, 4))
    again.load(latents.content())
    for one, other in zip(latents.before(torch.tensor([5])), again.before(torch.tensor([5])), strict=True):
        assert all(torch.equal(a, b) for a, b in zip(one, other, strict=True))


def test_an_update_begins_where_the_one_before_it_left_the_row():
    torch.manual_seed(0)
    model = WorldModel(ModelConfig("vector", (5,), 1, deter=8, hidden=8, stoch=2, classes=4, blocks=2, units=8))
    behaviour = Behaviour(
        BehaviourConfig(2, 2, 0.9, 0.95, 1e-3, 1e-3, 100.0, units=8), model.feature_dim, -torch.ones(1), torch.ones(1)
    )
    agent = DreamerAgent(model, behaviour, 1e-3, 100.0, stored_latents=True)
    begun: list[tuple[State | None, torch.Tensor]] = []
    observe = model.observe

    def noted(embed, action, is_first, state=None, *rest, **named):
        begun.append((state, is_first[:, 0].clone()))
        return observe(embed, action, is_first, state, *rest, **named)

    model.observe = noted
    no = torch.zeros(2, 4, dtype=torch.bool)
    batch = Batch(torch.randn(2, 4, 5), torch.zeros(2, 4, 1), torch.zeros(2, 4), no, no)
    agent.update(batch, torch.tensor([20, 50]), model=True)
    agent.update(batch, torch.tensor([22, 70]), model=False)
    (_, first), (state, second) = begun
    assert first.tolist() == [True, True]  # nothing is known yet: as if the window began its episode
    assert second.tolist() == [False, True]
    assert state is not None and state.stoch[0].sum() == 2 and not state.stoch[1].any()
    assert not batch.is_first.any()  # the batch is left as it was
