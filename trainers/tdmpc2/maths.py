"""The maths of TD-MPC2 as pure functions (arXiv 2310.16828; upstream `common/math.py`, `common/scale.py`, `tdmpc2.py`).

Discrete regression is DreamerV3's two-hot encoding over other bins: here they are evenly spaced in symlog, and the mean is taken
there, before symexp (upstream `two_hot`, `two_hot_inv`).
"""

import math

import torch
import torch.nn.functional as F
from jaxtyping import Bool, Float, Int
from torch import Tensor

from trainers.tdmpc2.config import BINS, LIMIT
from trainers.worldmodel.losses import symexp, symlog, two_hot


def bins(count: int = BINS, limit: float = LIMIT) -> Float[Tensor, "{count}"]:
    """float32 [N], evenly spaced over [-limit, limit], values in symlog."""
    return torch.linspace(-limit, limit, count)


def regression_loss(logits: Float[Tensor, "*q N"], x: Float[Tensor, "*n"], bins: Float[Tensor, " N"]) -> Float[Tensor, "*q"]:
    """Cross-entropy [..., *] of logits [..., *, N] against the two-hot encoding of symlog x [*] (upstream `soft_ce`)."""
    return -(two_hot(symlog(x), bins) * F.log_softmax(logits, -1)).sum(-1)


def regression_mean(logits: Float[Tensor, "*n N"], bins: Float[Tensor, " N"]) -> Float[Tensor, "*n"]:
    """The value [...] that logits [..., N] stand for (upstream `two_hot_inv`)."""
    return symexp((logits.softmax(-1) * bins).sum(-1))


def step_weights(rho: float, steps: int, device: torch.device) -> Float[Tensor, "{steps}"]:
    """float32 [steps], rho^t: how much each step of a rollout counts (paper, "Model objective": lambda^t)."""
    return rho ** torch.arange(steps, dtype=torch.float32, device=device)


def rollout_loss(errors: Float[Tensor, "H *n"], rho: float) -> Float[Tensor, ""]:
    """Scalar: errors [H, ...] averaged within each step, weighted by rho^t, summed, and divided by H (upstream `_update`)."""
    means = errors.flatten(1).mean(1)
    return (means * step_weights(rho, len(errors), errors.device)).mean()


def td_target(
    reward: Float[Tensor, "*n"], terminal: Bool[Tensor, "*n"], values: Float[Tensor, "Q *n"], discount: float
) -> Float[Tensor, "*n"]:
    """r + discount (1 - terminal) min over the members of the next state's value (upstream `_td_target`).

    Args:
        reward: float [...], of the transition.
        terminal: bool [...], whether it ended in a terminal state.
        values: float [Q, ...], of the state it led to.
    """
    return reward + discount * (~terminal).to(reward.dtype) * values.amin(0)


def spread(x: Float[Tensor, "n *rest"]) -> Float[Tensor, ""]:
    """Scalar: the 95th percentile of x [n, ...] less the 5th, at least 1 (upstream `RunningScale.update`)."""
    ordered = x.flatten().sort().values
    last = len(ordered) - 1
    low, high = (torch.lerp(ordered[int(at)], ordered[min(int(at) + 1, last)], at % 1) for at in (0.05 * last, 0.95 * last))
    return (high - low).clamp(min=1.0)


def gaussian_entropy(noise: Float[Tensor, "*n A"], log_std: Float[Tensor, "*n A"]) -> Float[Tensor, "*n"]:
    """-log N(mean + std noise; mean, std) [...] of noise and log_std [..., A], times A.

    Upstream's `scaled_entropy`: there the squashing's correction is divided by itself again, so that none of it is left.
    """
    log_prob = -0.5 * noise.square() - log_std - 0.5 * math.log(2 * math.pi)
    return -log_prob.sum(-1) * noise.shape[-1]


def history(is_first: Bool[Tensor, "B L"], frames: int) -> Int[Tensor, "B L {frames}"]:
    """int64 [B, L, K]: positions of the last K rows at each row, oldest first; the episode's first stands in for those before it.

    Args:
        is_first: bool [B, L]. A window's first row counts as one.
    """
    at = torch.arange(is_first.shape[1], device=is_first.device)
    first = (at * is_first).cummax(1).values  # (B, L)
    lag = torch.arange(frames - 1, -1, -1, device=is_first.device)
    return torch.maximum(at[:, None] - lag, first.unsqueeze(-1))
