"""The scale that returns are divided by, so that one entropy weight fits every task."""

import torch
from torch import Tensor, nn


class ReturnNormaliser(nn.Module):
    """Moving range between the 5th and 95th percentile of returns (DreamerV3, equation 7).

    Small returns are left as they are (the scale never falls below 1), so that noise is not amplified where rewards are sparse.
    The averages start at zero and are corrected for it, as Adam's are.
    """

    low: Tensor  # [] float64
    high: Tensor  # [] float64
    updates: Tensor  # [] int64

    def __init__(self, decay: float = 0.99, percentiles: tuple[float, float] = (0.05, 0.95)) -> None:
        super().__init__()
        self._decay, self._percentiles = decay, percentiles
        self.register_buffer("low", torch.zeros((), dtype=torch.float64))
        self.register_buffer("high", torch.zeros((), dtype=torch.float64))
        self.register_buffer("updates", torch.zeros((), dtype=torch.int64))

    @torch.no_grad()
    def update(self, returns: Tensor) -> Tensor:
        """Take in a batch of returns (float, any shape) and give the scale, float [] and at least 1."""
        at = torch.tensor(self._percentiles, dtype=torch.float32, device=returns.device)
        low, high = torch.quantile(returns.detach().float().flatten(), at).double()
        self.low.lerp_(low, 1 - self._decay)
        self.high.lerp_(high, 1 - self._decay)
        self.updates += 1
        return self.scale.to(returns.dtype)

    @property
    def scale(self) -> Tensor:
        """Float64 [], at least 1; 1 before the first update."""
        correction = 1 - self._decay ** self.updates.double().clamp(min=1)
        return ((self.high - self.low) / correction).clamp(min=1)
