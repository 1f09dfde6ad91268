"""TD-MPC2's agent: plans in its latents; replay teaches model, values and policy prior in one update (upstream `tdmpc2.py`)."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple

import torch
from torch import Tensor

from trainers.agent.agent import Diverged
from trainers.tdmpc2.model import TDMPC2
from trainers.tdmpc2.planner import PlanSettings, planner_of
from trainers.update import Rules, Single, Split
from trainers.worldmodel.types import Batch


@dataclass(frozen=True)
class Learning:
    """How it learns online.

    Attributes:
        learning_rate: Adam's.
        clip: largest gradient norm.
        seed: of an update's noise, of exploration and of evaluation.
    """

    learning_rate: float
    clip: float
    seed: int


class Memory(NamedTuple):
    """What is known of B episodes.

    Attributes:
        shown: [B, K, *observation_shape], the last K rows, oldest first; an episode's first stands in for those before it.
        plan: float [H, B, A], the mean of the last plan. None of both before the first step.
    """

    shown: Tensor | None
    plan: Tensor | None


class TdMpc2Agent:
    """Satisfies `trainers.agent.agent.Agent`, for tasks whose actions lie in [-1, 1]."""

    lower = "finetune.tdmpc2.learning_rate"

    def __init__(self, model: TDMPC2, plan: PlanSettings, learning: Learning) -> None:
        """
        Args:
            model: trained further.
            plan, learning: how it acts and learns.
        """
        self.model, self._plan, self._learning = model, plan, learning
        device = model.scale.device
        self._exploration = torch.Generator(device).manual_seed(learning.seed)
        self._evaluation = torch.Generator(device)
        discount = model.config.settings.discount
        self._planners = {
            explore: planner_of(model, discount, plan, generator)
            for explore, generator in ((True, self._exploration), (False, self._evaluation))
        }
        self._update = Single(model, learning.seed, Rules(learning.clip), device, Split())

    @property
    def device(self) -> torch.device:
        return self.model.scale.device

    @property
    def keeps_frames(self) -> bool:
        return False

    def standardise(self, rows: Tensor, frames: Tensor | None) -> None:
        self.model.standardise(rows, frames)

    def begin(self, count: int, explore: bool) -> Memory:
        if not explore:
            self._evaluation.manual_seed(self._learning.seed)
        return Memory(None, None)

    @torch.no_grad()
    def act(self, memory: Memory, observation: Tensor, led: Tensor, is_first: Tensor, explore: bool) -> tuple[Tensor, Memory]:
        config = self.model.config
        before, plan = memory
        again = observation.unsqueeze(1).expand(-1, config.settings.frames, *observation.shape[1:])  # [B, K, *shape]
        if before is None or plan is None:
            shown, plan = again, torch.zeros(self._plan.horizon, *led.shape, device=self.device)
        else:
            moved = torch.cat([before[:, 1:], observation.unsqueeze(1)], 1)
            shown = torch.where(is_first.view(-1, *[1] * (again.dim() - 1)), again, moved)
        generator = self._exploration if explore else self._evaluation
        planned = self._planners[explore].plan(self.model.encode(shown), plan, is_first, generator, explore)
        return planned.action, Memory(shown, planned.mean)

    def update(self, batch: Batch, starts: Tensor, model: bool) -> None:
        """Model, values and policy are one update; there is none of behaviour alone.

        Raises:
            Diverged: a loss is not finite.
        """
        if not model:
            raise ValueError("TD-MPC2 learns its policy with its model")
        metrics = self._update([batch], self._learning.learning_rate)[0]
        finite = torch.isfinite(metrics)
        if not finite.all():
            first = int((~finite).nonzero()[0])
            raise Diverged(f"{self._update.names[first]} is {metrics[first].item()}")

    def content(self) -> dict[str, Any]:
        return {**self._update.contents()[0], "exploration": self._exploration.get_state()}

    def load(self, content: Mapping[str, Any]) -> None:
        self._update.load([content])
        self._exploration.set_state(content["exploration"].cpu())

    def weights(self) -> dict[str, Any]:
        return {"config": self.model.config.to_json(), "model": self.model.state_dict()}
