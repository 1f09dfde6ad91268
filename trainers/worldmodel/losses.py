"""The maths of DreamerV3's world model as pure functions (arXiv 2301.04104 v2; upstream danijar/dreamerv3).

Numbers in parentheses are the paper's equations.
"""

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor

UNIMIX = 0.01
BINS = 255


def symlog(x: Float[Tensor, "*n"]) -> Float[Tensor, "*n"]:
    """sign(x) ln(|x| + 1), elementwise (9)."""
    return torch.sign(x) * torch.log1p(torch.abs(x))


def symexp(x: Float[Tensor, "*n"]) -> Float[Tensor, "*n"]:
    """The inverse of `symlog` (9)."""
    return torch.sign(x) * torch.expm1(torch.abs(x))


def reward_bins(count: int = BINS) -> Float[Tensor, "{count}"]:
    """float32 [count], symexp of evenly spaced points in [-20, 20] (10), exactly antisymmetric."""
    half = symexp(torch.linspace(-20.0, 0.0, count // 2 + 1, dtype=torch.float64)).float()
    return torch.cat([half[:-1], torch.zeros(1), -half[:-1].flip(0)])


def two_hot(x: Float[Tensor, "*n"], bins: Float[Tensor, " N"]) -> Float[Tensor, "*n N"]:
    """Weights on the two bins around each value, such that their mean is the value (11).

    Args:
        x: float [...]; values beyond the outer bins count as the outer bins.
        bins: float [N], ascending.

    Returns:
        float [..., N], non-negative, sums to one, at most two entries above zero.
    """
    x = x.clamp(bins[0], bins[-1])
    above = torch.searchsorted(bins, x.contiguous(), right=True).clamp(1, len(bins) - 1)
    low, high = bins[above - 1], bins[above]
    weight = (x - low) / (high - low)
    target = torch.zeros(*x.shape, len(bins), dtype=x.dtype, device=x.device)
    below = target.scatter(-1, (above - 1).unsqueeze(-1), (1 - weight).unsqueeze(-1))
    return below.scatter(-1, above.unsqueeze(-1), weight.unsqueeze(-1))


def two_hot_loss(logits: Float[Tensor, "*n N"], x: Float[Tensor, "*n"], bins: Float[Tensor, " N"]) -> Float[Tensor, "*n"]:
    """Cross-entropy [...] of logits [..., N] against the two-hot encoding of x [...] (10)."""
    return -(two_hot(x, bins) * F.log_softmax(logits, -1)).sum(-1)


def two_hot_mean(logits: Float[Tensor, "*n N"], bins: Float[Tensor, " N"]) -> Float[Tensor, "*n"]:
    """Expected value [...] under logits [..., N].

    Opposite bins are paired before the sum (upstream's `TwoHot.pred`): uniform logits give exactly zero, although the
    outer bins are of the order 1e8.
    """
    probs = torch.softmax(logits, -1)
    half = len(bins) // 2
    paired = probs[..., half + 1 :] - probs[..., :half].flip(-1)
    return (paired * bins[half + 1 :]).sum(-1)


def unimix(logits: Float[Tensor, "*n K"], mix: float = UNIMIX) -> Float[Tensor, "*n K"]:
    """Probabilities [..., K] of `(1 - mix) softmax + mix / K`: none is ever zero, so no KL is infinite."""
    return (1 - mix) * torch.softmax(logits, -1) + mix / logits.shape[-1]


def categorical_kl(p: Float[Tensor, "*n S K"], q: Float[Tensor, "*n S K"]) -> Float[Tensor, "*n"]:
    """KL(p || q) in nats, summed over independent variables: log-probabilities [..., S, K] -> [...]."""
    return (p.exp() * (p - q)).sum((-2, -1))


def balanced_kl(
    post: Float[Tensor, "*n S K"], prior: Float[Tensor, "*n S K"], free_nats: float
) -> tuple[Float[Tensor, "*n"], Float[Tensor, "*n"]]:
    """Dynamics and representation losses [...] of log-probabilities [..., S, K] (5).

    The first trains the prior towards the posterior, the second the posterior towards the prior; neither is pushed below
    `free_nats`.
    """
    dynamics = categorical_kl(post.detach(), prior).clamp(min=free_nats)
    representation = categorical_kl(post, prior.detach()).clamp(min=free_nats)
    return dynamics, representation
