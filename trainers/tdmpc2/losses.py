"""What the model and the policy minimise (arXiv 2310.16828, "Model objective", "Policy objective"; upstream `tdmpc2.py`)."""

from typing import TYPE_CHECKING, NamedTuple

import torch
from torch import Tensor

from trainers.models import Metrics
from trainers.processes import gathered
from trainers.tdmpc2.config import TAU
from trainers.tdmpc2.maths import history, regression_loss, rollout_loss, spread, step_weights, td_target
from trainers.tdmpc2.noise import Noise
from trainers.worldmodel.types import Batch

if TYPE_CHECKING:
    from trainers.tdmpc2.model import TDMPC2


class Steps(NamedTuple):
    """Rollouts cut from windows, time first.

    Attributes:
        observation: [H + 1, B, K, *observation_shape], the last K rows at each step.
        action: float [H, B, A]. reward: float [H, B]. terminal: bool [H, B]. Of the transition from each step to the next.
    """

    observation: Tensor
    action: Tensor
    reward: Tensor
    terminal: Tensor


def cut(batch: Batch, frames: int, anywhere: Tensor) -> Steps:
    """H = L - K transitions of every window [B, L], each within one episode.

    They start where K rows are known: at position K - 1 or, where the window begins with its episode, at a random one of the
    first K, with the episode's first row repeated as in evaluation. Drawn K times as often as others, such windows let every row
    begin as many rollouts as any other.

    Args:
        batch: windows [B, L].
        frames: K.
        anywhere: int64 [B], the random position.
    """
    b, length = batch.is_first.shape
    device = batch.reward.device
    first = torch.where(batch.is_first[:, 0], anywhere, frames - 1)
    at = first[:, None] + torch.arange(length - frames + 1, device=device)  # (B, H + 1)
    window = torch.arange(b, device=device)[:, None]
    stacked = batch.observation[window.unsqueeze(-1), history(batch.is_first, frames)[window, at]]
    led = [values[window, at[:, 1:]].transpose(0, 1) for values in (batch.action, batch.reward, batch.is_terminal)]
    return Steps(stacked.transpose(0, 1), *led)


def model_loss(model: "TDMPC2", batch: Batch, noise: Noise) -> tuple[Tensor, Tensor, Metrics]:
    """Consistency, reward and value along a rollout of the dynamics under the true actions (upstream `_update`).

    Returns:
        Scalar; the rollout's latents [H + 1, B, Z], detached; detached scalars by name.
    """
    settings, scales = model.config.settings, model.config.settings.loss
    steps = cut(batch, settings.frames, noise.first)
    with torch.no_grad():
        seen = model.encode(steps.observation[1:], noise.moves[1:])  # (H, B, Z)
        values = model.two_values(seen, model.policy(seen, noise.next_action).action, noise.target_pair)
        returns = td_target(steps.reward, steps.terminal, values, settings.discount)
    latents = [model.encode(steps.observation[0], noise.moves[0])]
    for action in steps.action:
        latents.append(model.next(latents[-1], action))
    latent = torch.stack(latents)  # (H + 1, B, Z)
    logits = model.reward_logits(latent[:-1], steps.action)
    value_logits = model.value_logits(latent[:-1], steps.action, noise.kept)  # (Q, H, B, N)
    errors = {
        "consistency": (latent[1:] - seen).square(),
        "reward": regression_loss(logits, steps.reward, model.bins),
        "value": regression_loss(value_logits, returns, model.bins).transpose(0, 1),  # (H, Q, B)
    }
    terms = {name: rollout_loss(error, scales.rho) for name, error in errors.items()}
    weights = {"consistency": scales.consistency, "reward": scales.reward, "value": scales.value}
    total = torch.stack([weights[name] * value for name, value in terms.items()]).sum()
    metrics = {f"{name}_loss": value.detach() for name, value in terms.items()}
    return total, latent.detach(), metrics | {"loss": total.detach()}


def policy_loss(model: "TDMPC2", latents: Tensor, noise: Noise) -> tuple[Tensor, Metrics]:
    """Minus the mean of two random Q functions, held constant, over their running spread, and the entropy (upstream `update_pi`).

    Args:
        latents: float [H + 1, B, Z], constants.
    """
    scales = model.config.settings.loss
    action, entropy = model.policy(latents, noise.action)
    value = model.two_values(latents, action, noise.pair, noise.policy_kept).mean(0)  # (H + 1, B)
    model.scale.add_(TAU * (spread(gathered(value[0].detach())) - model.scale))
    gain = (scales.entropy * entropy + value / model.scale).mean(1)
    loss = -(gain * step_weights(scales.rho, len(gain), gain.device)).mean()
    return loss, {"policy_loss": loss.detach(), "policy_entropy": entropy.mean().detach(), "policy_scale": model.scale.clone()}
