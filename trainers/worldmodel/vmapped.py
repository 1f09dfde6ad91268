"""What operations of our own share that do several models' rows at once under `torch.func.vmap`."""

from torch import Tensor


def models_first(value: Tensor, dim: int | None, models: int) -> Tensor:
    """`value` [..., M, ...] of M models along axis `dim`, or of none, which is each one's -> [M, ...], a view."""
    return value.unsqueeze(0).expand(models, *value.shape) if dim is None else value.movedim(dim, 0)
