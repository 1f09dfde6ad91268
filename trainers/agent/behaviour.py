"""Actor and critic, learned from imagined trajectories alone (DreamerV3, arXiv 2301.04104 v2, section "Actor critic")."""

import copy
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from trainers.agent.actor import Actor
from trainers.agent.critic import Critic
from trainers.agent.imagination import flatten, imagine
from trainers.agent.normaliser import ReturnNormaliser
from trainers.agent.returns import lambda_returns, policy_gradient_loss, reach_weights
from trainers.worldmodel import State, WorldModel


@dataclass(frozen=True)
class BehaviourConfig:
    """What behaviour is learned with.

    Attributes:
        imagine: steps of imagination, H.
        discount: per agent step, in (0, 1).
        lambda_: of the lambda-returns.
        entropy: weight of the entropy bonus.
        learning_rate: Adam's, of actor and critic.
        clip: largest gradient norm of either.
        units, layers: of their networks' hidden layers.
        slow_rate: share of the critic that its slow copy takes in per update.
    """

    imagine: int
    discount: float
    lambda_: float
    entropy: float
    learning_rate: float
    clip: float
    units: int
    layers: int = 3
    slow_rate: float = 0.02


class Behaviour(nn.Module):
    """Actor, critic, its slow copy and the return normaliser; the optimiser's state is part of a checkpoint, too."""

    def __init__(self, config: BehaviourConfig, feature_dim: int, low: Tensor, high: Tensor) -> None:
        """
        Args:
            config: hyperparameters.
            feature_dim: F of the world model.
            low, high: float [A], the task's action bounds.
        """
        super().__init__()
        self.config = config
        self.actor = Actor(feature_dim, low, high, config.units, config.layers)
        self.critic = Critic(feature_dim, config.units, config.layers)
        self.slow_critic = copy.deepcopy(self.critic).requires_grad_(False)
        self.normaliser = ReturnNormaliser()

    def make_optimiser(self) -> torch.optim.Optimizer:
        """Adam over actor and critic."""
        parameters = [*self.actor.parameters(), *self.critic.parameters()]
        return torch.optim.Adam(parameters, lr=self.config.learning_rate, eps=1e-5)

    def loss(self, model: WorldModel, states: State, terminal: Tensor) -> tuple[Tensor, dict[str, Tensor]]:
        """Actor and critic loss on trajectories imagined from `states`; takes their returns into the normaliser.

        Args:
            model: the world model, not trained by this loss.
            states: posterior states [B, L] of a replayed batch.
            terminal: bool [B, L], whether the episode ended for good there.

        Returns:
            float [] to minimise, and figures worth logging.
        """
        c = self.config
        imagined = imagine(model, self.actor, flatten(states), c.imagine)
        past, future = imagined.feature[:-1], imagined.feature[1:]  # [H, N, F]
        with torch.no_grad():
            discount = c.discount * model.continuation(future)  # [H, N]
            returns = lambda_returns(model.reward(future), discount, self.critic(future).mean, c.lambda_)
            weight = reach_weights((~terminal.flatten()).float(), discount)
            scale = self.normaliser.update(returns)
            slow = self.slow_critic(past).mean
        value, policy = self.critic(past), self.actor(past)
        advantage = (returns - value.mean.detach()) / scale
        actor_loss = policy_gradient_loss(policy.log_prob(imagined.action), advantage, policy.entropy(), weight, c.entropy)
        critic_loss = (weight * (value.loss(returns) + value.loss(slow))).mean()
        metrics = {
            "actor_loss": actor_loss, "critic_loss": critic_loss, "return": returns.mean(), "scale": scale,
            "entropy": policy.entropy().mean(),
        }  # fmt: skip
        return actor_loss + critic_loss, {name: value.detach() for name, value in metrics.items()}

    def step(self, optimiser: torch.optim.Optimizer, loss: Tensor) -> None:
        """One optimiser step, then let the slow critic follow."""
        optimiser.zero_grad(set_to_none=True)
        loss.backward()
        for part in (self.actor, self.critic):
            nn.utils.clip_grad_norm_(part.parameters(), self.config.clip)
        optimiser.step()
        with torch.no_grad():
            for slow, fast in zip(self.slow_critic.parameters(), self.critic.parameters(), strict=True):
                slow.lerp_(fast, self.config.slow_rate)
