"""The posterior's recurrence over a window as one differentiable function, which is what makes training fast.

Autograd through the steps adds a product of rank B to every weight's gradient at every step. Here what each layer read and the
gradient of what it made are kept, and a weight's gradient is one product over all steps. Rows are [L, B, ...], so that a step is
contiguous. The steps themselves are `scan_plain`'s or, on a GPU that they fit, `scan_fused`'s. `RSSM.observe_step` is the same
step in plain operations, and what the tests compare with.

Under `torch.func.vmap` several models' scans are one: rows are then [L, M, B, ...] and weights [M, ...], M models.
"""

from functools import reduce
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor

from trainers.worldmodel import scan_fused, scan_plain
from trainers.worldmodel.layers import silu_backward
from trainers.worldmodel.scan_types import (
    Given,
    Normed,
    NormSlopes,
    ScanWeights,
    Wanted,
    blocked,
    kept_from,
    kept_of,
    norm_scales,
    over_time,
    slopes_of,
)
from trainers.worldmodel.vmapped import models_first


def scan(
    action: Float[Tensor, "L B deter"],
    embed: Float[Tensor, "L B hidden"],
    keep: Float[Tensor, "L B 1"],
    noise: Float[Tensor, "L B S K"],
    deter: Float[Tensor, "B deter"],
    stoch: Float[Tensor, "B S*K"],
    weights: ScanWeights,
) -> tuple[Float[Tensor, "L B deter"], Float[Tensor, "L B S K"], Float[Tensor, "L B S K"]]:
    """Filter a window.

    On a CPU in the weights' precision whatever autocast says: products of a few rows gain nothing from fewer bits there.

    Args:
        action: [L, B, deter], what the action adds to the core's input.
        embed: [L, B, hidden], what the observation adds to the posterior's.
        keep: [L, B, 1], zero where the state before is forgotten.
        noise: [L, B, S, K], of `straight_through`.
        deter, stoch: [B, deter], [B, S * K], before the first step.
        weights: of the recurrence.

    Returns:
        deter [L, B, deter]; latents [L, B, S, K], one-hot, with the gradient of their probabilities; these, [L, B, S, K].
    """
    device, own = action.device.type, weights.gates.dtype
    products = torch.get_autocast_dtype(device) if torch.is_autocast_enabled(device) else own
    with torch.autocast(device, enabled=False):
        sequences = (values.to(own) for values in (action, embed, keep, noise))
        made: tuple[Tensor, ...] = _Scan.apply(products, *sequences, deter, stoch, *weights)
    return made[0], made[1], made[2]


class _Scan(torch.autograd.Function):
    """Axes before the rows' B are those of models: none, or one."""

    @staticmethod
    def forward(products: torch.dtype, *values: Tensor) -> tuple[Tensor, ...]:
        given, w = Given(*values[:_GIVEN]), ScanWeights(*values[_GIVEN:])
        fused = scan_fused.fits(given, w)
        kept = kept_of(given, w, by_step=not fused)
        if fused:
            scan_fused.forward(given, w, kept, products)
        else:
            scan_plain.forward(given, w, kept)
        return kept.flat()

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple[Any, ...], output: tuple[Tensor, ...]) -> None:
        ctx.products, *values = inputs
        given, weights = Given(*values[:_GIVEN]), ScanWeights(*values[_GIVEN:])
        ctx.fused = scan_fused.fits(given, weights)
        ctx.save_for_backward(given.keep, *weights, *output)
        ctx.mark_non_differentiable(*output[3:])
        ctx.set_materialize_grads(False)  # or zeros are made for all that is kept

    @staticmethod
    def vmap(
        info: Any, in_dims: tuple[int | None, ...], products: torch.dtype, *values: Tensor
    ) -> tuple[tuple[Tensor, ...], tuple[int, ...]]:
        """Several models as one scan; of sequences the models' axis comes second, of all else first."""
        moved = []
        for number, (value, dim) in enumerate(zip(values, in_dims[1:], strict=True)):
            own = models_first(value, dim, info.batch_size)
            moved.append(own.movedim(0, 1) if number < _SEQUENCES else own)
        if moved[0].dim() != _RANK + 1:
            raise NotImplementedError("one level of vmap")
        made: tuple[Tensor, ...] = _Scan.apply(products, *moved)
        return made, (1,) * len(made)

    @staticmethod
    def backward(ctx: Any, *grads: Tensor | None) -> tuple[Tensor | None, ...]:
        keep, *saved = ctx.saved_tensors
        count = len(ScanWeights._fields)
        w, kept = ScanWeights(*saved[:count]), kept_from(tuple(saved[count:]))
        from_deter, *from_latent = grads[:3]
        by_deter = torch.zeros_like(kept.deters) if from_deter is None else from_deter
        known = [grad for grad in from_latent if grad is not None]
        by_prob = reduce(torch.add, known) if known else torch.zeros_like(kept.soft[:1])
        slopes = slopes_of(w, kept)
        wanted = Wanted(by_deter, by_prob, keep)
        if ctx.fused:
            deter, stoch = scan_fused.backward(wanted, slopes, w, kept, ctx.products)
        else:
            deter, stoch = scan_plain.backward(wanted, slopes, w, kept)
        blocks, (read, core, post) = w.gates.shape[-3], slopes.norms
        to_deter, to_stoch = over_time(read.passed.flatten(-2)).chunk(2, -1)
        x, to_post, to_logit = (over_time(part) for part in (core.passed, post.passed, slopes.to_logits.flatten(-2)))
        to_gate = over_time(slopes.to_gates.flatten(-2))  # (..., G, L * B, 3 * d)
        old, old_z, core_out = over_time(kept.old_deter), over_time(kept.old_stoch), over_time(kept.core.out)
        by_read, by_core, by_post = (
            _scale_grad(*own) for own in zip(kept.norms, slopes.norms, norm_scales(w), (-3, -2, -2), strict=True)
        )
        return (
            None, core.passed, post.passed, None, None, deter, stoch.flatten(-2),
            to_deter.mT @ old, to_deter.sum(-2), to_stoch.mT @ old_z, to_stoch.sum(-2), by_read,
            x.mT @ over_time(kept.read.out.flatten(-2)), blocked(old, blocks).mT @ blocked(x, blocks), by_core,
            blocked(core_out, blocks).mT @ to_gate, to_gate.sum(-2),
            to_post.mT @ over_time(kept.deters), by_post, to_logit.mT @ over_time(kept.post.out), to_logit.sum(-2),
        )  # fmt: skip


_GIVEN = len(Given._fields)
_SEQUENCES = 4  # of the scan's arguments, [L, B, ...]
_RANK = 3  # of a sequence


def _scale_grad(made: Normed, slopes: NormSlopes, scale: Tensor, rows: int) -> Tensor:
    """The gradient of a norm's scale, summed over time and over axis `rows`, counted from the end."""
    grad: Tensor = silu_backward(slopes.given, made.unit * scale)
    return (grad * made.unit).sum((0, rows))
