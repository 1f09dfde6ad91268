"""DreamerV3's agent: its actor acts on the world model's posterior; replay teaches the model, imagination the actor."""

from collections.abc import Mapping
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn

from trainers.agent.agent import Diverged
from trainers.agent.behaviour import Behaviour, Bonus
from trainers.agent.latents import Latents
from trainers.agent.plan2explore import Disagreement
from trainers.worldmodel import State, WorldModel
from trainers.worldmodel.types import Batch


class Curiosity(NamedTuple):
    """A bonus of `weight` times what the ensemble disagrees (Plan2Explore)."""

    weight: float
    ensemble: Disagreement


class DreamerAgent:
    """Satisfies `trainers.agent.agent.Agent`. All that is random comes from torch's global generator."""

    lower = "finetune.learning_rate or finetune.world_model_learning_rate"

    def __init__(
        self, model: WorldModel, behaviour: Behaviour, learning_rate: float, clip: float, curiosity: Curiosity | None = None,
        stored_latents: bool = False,
    ) -> None:  # fmt: skip
        """
        Args:
            model: trained further.
            behaviour: actor and critic to be trained.
            learning_rate: Adam's, of the world model.
            clip: largest gradient norm of the world model, and of the ensemble.
            curiosity: the bonus that behaviour is learned with, where there is one.
            stored_latents: whether a window begins with what was last made of the row before it (`latents.Latents`), or nothing.
        """
        self.model, self.behaviour, self._clip = model, behaviour, clip
        self._model_optimiser = torch.optim.Adam(model.parameters(), lr=learning_rate, eps=1e-5)
        self._behaviour_optimiser = behaviour.make_optimiser()
        c = model.config
        self._latents = Latents(c.deter, c.stoch, c.classes, self.device) if stored_latents else None
        self._curiosity = curiosity
        if curiosity is not None:
            rate = behaviour.config.learning_rate
            self._ensemble_optimiser = torch.optim.Adam(curiosity.ensemble.parameters(), lr=rate, eps=1e-5)

    @property
    def device(self) -> torch.device:
        return self.behaviour.actor.low.device

    @property
    def keeps_frames(self) -> bool:
        return self.model.config.needs_frames

    def standardise(self, rows: Tensor, frames: Tensor | None) -> None:
        self.model.standardise(rows, frames)

    def begin(self, count: int, explore: bool) -> State:
        return self.model.initial(count)

    @torch.no_grad()
    def act(self, memory: State, observation: Tensor, led: Tensor, is_first: Tensor, explore: bool) -> tuple[Tensor, State]:
        state = self.model.observe_step(memory, observation, led, is_first, sample=explore)
        policy = self.behaviour.actor(self.model.feature(state))
        return self.behaviour.actor.to_task(policy.sample() if explore else policy.mode), state

    def update(self, batch: Batch, starts: Tensor, model: bool) -> None:
        before = None
        if self._latents is not None:
            before, known = self._latents.before(starts)
            unknown = batch.is_first.clone()
            unknown[:, 0] |= ~known
            batch = batch._replace(is_first=unknown)
        if model:
            loss, states, _ = self.model.loss(batch, state=before)
            _check(loss, "the world model's loss")
            self._model_optimiser.zero_grad()
            loss.backward()
            nn.utils.clip_grad_norm_(self.model.parameters(), self._clip)
            self._model_optimiser.step()
        else:
            with torch.no_grad():
                embed = self.model.embed(batch.observation)
                states = self.model.observe(embed, batch.action, batch.is_first, before).states
        if self._latents is not None:
            self._latents.keep(starts, states)
        losses = self.behaviour.loss(self.model, states, batch.is_terminal, self._learn_curiosity(states, batch))
        for name, loss in losses._asdict().items():
            _check(loss, f"the {name}'s loss")
        self.behaviour.step(self._behaviour_optimiser, losses)

    def _learn_curiosity(self, states: State, batch: Batch) -> Bonus | None:
        """One step of the ensemble on a batch's posterior states [B, L]; what it then adds to rewards."""
        if self._curiosity is None:
            return None
        weight, ensemble = self._curiosity
        held = State(*(part.detach() for part in states))
        loss = ensemble.loss(self.model.feature(held), held.stoch.flatten(-2), batch.action, batch.is_first)
        _check(loss, "the ensemble's loss")
        self._ensemble_optimiser.zero_grad()
        loss.backward()
        nn.utils.clip_grad_norm_(ensemble.parameters(), self._clip)
        self._ensemble_optimiser.step()
        return lambda feature, action: weight * ensemble.bonus(feature, action)

    def content(self) -> dict[str, Any]:
        more = {}
        if self._curiosity is not None:
            ensemble = self._curiosity.ensemble.state_dict()
            more = {"ensemble": ensemble, "ensemble_optimiser": self._ensemble_optimiser.state_dict()}
        if self._latents is not None:
            more["latents"] = self._latents.content()
        return more | {
            "model": self.model.state_dict(), "model_optimiser": self._model_optimiser.state_dict(),
            "behaviour": self.behaviour.state_dict(), "behaviour_optimiser": self._behaviour_optimiser.state_dict(),
        }  # fmt: skip

    def load(self, content: Mapping[str, Any]) -> None:
        self.model.load_state_dict(content["model"])
        self.behaviour.load_state_dict(content["behaviour"])
        self._model_optimiser.load_state_dict(content["model_optimiser"])
        self._behaviour_optimiser.load_state_dict(content["behaviour_optimiser"])
        if self._curiosity is not None:
            self._curiosity.ensemble.load_state_dict(content["ensemble"])
            self._ensemble_optimiser.load_state_dict(content["ensemble_optimiser"])
        if self._latents is not None:
            self._latents.load(content["latents"])

    def weights(self) -> dict[str, Any]:
        return {
            "config": self.model.config.to_json(), "model": self.model.state_dict(), "behaviour": self.behaviour.state_dict()
        }  # fmt: skip


def _check(loss: Tensor, what: str) -> None:
    if not torch.isfinite(loss):
        raise Diverged(f"{what} is {loss.item()}")
