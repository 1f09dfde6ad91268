"""All that is random in an update."""

from typing import Any, NamedTuple

import torch
from torch import Tensor

from trainers.tdmpc2.config import DROPOUT, SHIFT, Config


class Noise(NamedTuple):
    """Of windows [B, L], cut into rollouts of H steps.

    Attributes:
        first: int64 [B], where a rollout begins in a window that begins with its episode, below K.
        moves: int64 [H + 1, B, 2], how far frames are moved down and right, below 7; of vectors nothing, [H + 1, B, 0].
        next_action: float [H, B, A], of the policy in the value's target. action: float [H + 1, B, A], in its own loss.
        target_pair, pair: int64 [2], members of the value ensemble in each of the two.
        kept: float [Q, H, B, mlp], what the members' units are multiplied by: 0, or 1 over the share that is kept.
        policy_kept: float [Q, H + 1, B, mlp], the same in the policy's loss.
    """

    first: Tensor
    moves: Tensor
    next_action: Tensor
    action: Tensor
    target_pair: Tensor
    pair: Tensor
    kept: Tensor
    policy_kept: Tensor

    def share(self, rank: int, world: int) -> "Noise":
        """Of every `world`-th window from `rank` on."""
        own = slice(rank, None, world)
        return Noise(
            self.first[own], self.moves[:, own], self.next_action[:, own], self.action[:, own], self.target_pair, self.pair,
            self.kept[:, :, own], self.policy_kept[:, :, own],
        )  # fmt: skip


def draw(config: Config, windows: int, length: int, device: torch.device, generator: torch.Generator | None) -> Noise:
    """`Noise` of windows [B, L]."""
    settings = config.settings
    members, units, steps = settings.sizes.q, settings.sizes.mlp, length - settings.frames
    given: dict[str, Any] = {"generator": generator, "device": device}

    def kept(count: int) -> Tensor:
        return (torch.rand(members, count, windows, units, **given) >= DROPOUT).float().div_(1 - DROPOUT)

    axes = 2 if config.kind == "pixels" else 0
    return Noise(
        torch.randint(settings.frames, (windows,), **given),
        torch.randint(2 * SHIFT + 1, (steps + 1, windows, axes), **given),
        torch.randn(steps, windows, config.action_dim, **given),
        torch.randn(steps + 1, windows, config.action_dim, **given),
        torch.randperm(members, **given)[:2],
        torch.randperm(members, **given)[:2],
        kept(steps),
        kept(steps + 1),
    )
