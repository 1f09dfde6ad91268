"""Quantiles of a value that a network predicts as a categorical over bins, trained on two-hot targets.

What the masses mean: a two-hot target puts hat functions (linear B-splines) over the bins, so a network that has learned the
distribution of x says p[i] = E[hat_i(x)]. Summed up to bin i, that is the mean of x's cumulative distribution over the interval
from bin i to the next one, exactly. So the distribution is read as having that value in the middle of the interval (an error
of second order in the bins' width), and linear between the middles: each bin's mass lies evenly between its neighbouring
middles. What is finer than a bin cannot be read: a network that is certain of a value has an interval of about a bin's width.
"""

import torch
from jaxtyping import Float
from torch import Tensor


def binned_quantiles(
    probs: Float[Tensor, "*n N"], bins: Float[Tensor, " N"], levels: Float[Tensor, " Q"]
) -> Float[Tensor, "*n Q"]:
    """The values below which `levels` of the distribution lie, float64.

    Args:
        probs: [..., N], each row sums to one.
        bins: [N], ascending; the outer ones end the distribution.
        levels: [Q], in (0, 1).
    """
    wide = bins.double()
    edges = torch.cat([wide[:1], (wide[1:] + wide[:-1]) / 2, wide[-1:]])
    upto = probs.double().cumsum(-1)
    upto = upto / upto[..., -1:]
    wanted = levels.to(upto).expand(*probs.shape[:-1], -1).contiguous()
    cell = torch.searchsorted(upto, wanted).clamp(max=len(bins) - 1)
    above = upto.gather(-1, cell)
    below = torch.where(cell > 0, upto.gather(-1, (cell - 1).clamp(min=0)), 0.0)
    share = ((wanted - below) / (above - below).clamp(min=torch.finfo(torch.float64).tiny)).clamp(0, 1)
    return torch.lerp(edges[cell], edges[cell + 1], share)
