"""Returns of imagined trajectories: pure functions (DreamerV3, arXiv 2301.04104 v2, section "Actor critic")."""

import torch
from jaxtyping import Float
from torch import Tensor


def lambda_returns(
    reward: Float[Tensor, "H N"], discount: Float[Tensor, "H N"], value: Float[Tensor, "H N"], lambda_: float
) -> Float[Tensor, "H N"]:
    """Bootstrapped lambda-returns of the states s_0 .. s_{H-1} of trajectories s_0 .. s_H.

    R_h = r_{h+1} + d_{h+1} ((1 - lambda) V(s_{h+1}) + lambda R_{h+1}), with R_H = V(s_H).

    Args:
        reward: float [H, N], r_1 .. r_H: the reward that arrives with s_1 .. s_H.
        discount: float [H, N], d_1 .. d_H: discount times the probability that the episode goes on after s_1 .. s_H.
        value: float [H, N], V(s_1) .. V(s_H).
        lambda_: 0 takes one reward and the value after it; 1 takes all rewards and the last value.

    Returns:
        float [H, N], R_0 .. R_{H-1}.
    """
    target = reward + discount * (1 - lambda_) * value  # [H, N]
    returns = [value[-1]]
    for h in reversed(range(len(target))):
        returns.append(target[h] + discount[h] * lambda_ * returns[-1])
    return torch.stack(returns[:0:-1])


def reach_weights(start: Float[Tensor, " N"], discount: Float[Tensor, "H N"]) -> Float[Tensor, "H N"]:
    """How much each imagined state counts: the discounted probability that the episode reaches it.

    Args:
        start: float [N], 1 where the trajectory's first state is not terminal, else 0.
        discount: float [H, N] as in `lambda_returns`.

    Returns:
        float [H, N], the weights of s_0 .. s_{H-1}.
    """
    return torch.cumprod(torch.cat([start[None], discount[:-1]]), 0)
