"""What a scan reads, keeps for its gradient, and hands back (see `scan`); sizes as in `ScanWeights`.

Axes before the rows' B are those of models: none, or one.
"""

from typing import NamedTuple

import torch
from torch import Tensor

from trainers.worldmodel.layers import silu_backward
from trainers.worldmodel.losses import UNIMIX

_sigmoid_backward, _tanh_backward = torch.ops.aten.sigmoid_backward, torch.ops.aten.tanh_backward


class ScanWeights(NamedTuple):
    """Weights of the recurrence; G blocks of size d = deter / G, flat = S * K.

    Attributes:
        deter_in, deter_bias: [hidden, deter], [hidden].
        stoch_in, stoch_bias: [hidden, flat], [hidden].
        in_scale: [2, hidden], of the norms of both.
        core_state: [deter, 2 * hidden].
        core_deter: [G, d, d].
        core_scale: [deter].
        gates, gates_bias: [G, d, 3 * d], [G, 3 * d].
        post_deter: [hidden, deter].
        post_scale: [hidden].
        post_out, post_bias: [flat, hidden], [flat].
    """

    deter_in: Tensor
    deter_bias: Tensor
    stoch_in: Tensor
    stoch_bias: Tensor
    in_scale: Tensor
    core_state: Tensor
    core_deter: Tensor
    core_scale: Tensor
    gates: Tensor
    gates_bias: Tensor
    post_deter: Tensor
    post_scale: Tensor
    post_out: Tensor
    post_bias: Tensor


class Given(NamedTuple):
    """Arguments of `scan` before its weights."""

    action: Tensor
    embed: Tensor
    keep: Tensor
    noise: Tensor
    deter: Tensor
    stoch: Tensor


class Normed(NamedTuple):
    """What a norm made of rows [L, ..., size], all of it step by step.

    Attributes:
        unit: the rows over their root mean square. rstd: one over that, [L, ..., 1]. out: what came of them.
    """

    unit: Tensor
    rstd: Tensor
    out: Tensor


class Kept(NamedTuple):
    """What the steps fill in, each [L, ..., B, ...]; gates and candidates by block, [L, ..., G, B, ...].

    Attributes:
        deters, latents, probs: what the scan returns.
        old_deter, old_stoch: the state before each step, zero where it is forgotten.
        gates, candidates: after their activations.
        soft: probabilities before the uniform mixture.
        read, core, post: the norms' unit, rstd and out; of `read` [L, ..., B, 2, hidden].
    """

    deters: Tensor
    latents: Tensor
    probs: Tensor
    old_deter: Tensor
    old_stoch: Tensor
    gates: Tensor
    candidates: Tensor
    soft: Tensor
    read: Normed
    core: Normed
    post: Normed

    @property
    def norms(self) -> tuple[Normed, Normed, Normed]:
        return self.read, self.core, self.post

    def flat(self) -> tuple[Tensor, ...]:
        """All tensors, as `kept_from` takes them."""
        return (*self[:-3], *(part for norm in self.norms for part in norm))


def kept_from(flat: tuple[Tensor, ...]) -> Kept:
    """The inverse of `Kept.flat`."""
    first = len(Kept._fields) - 3
    read, core, post = (Normed(*flat[at : at + 3]) for at in range(first, first + 9, 3))
    deters, latents, probs, old_deter, old_stoch, gates, candidates, soft = flat[:first]
    return Kept(deters, latents, probs, old_deter, old_stoch, gates, candidates, soft, read, core, post)


def kept_of(given: Given, w: ScanWeights, by_step: bool) -> Kept:
    """Memory for a scan, yet to be filled in; it lies step by step, or model by model, block by block, and then step by step."""
    (length, *lead, batch, size), hidden = given.action.shape, given.embed.shape[-1]
    (*_, latents, classes), (blocks, each) = given.noise.shape, w.gates.shape[-3:-1]

    def new(*rest: int, before: tuple[int, ...] = ()) -> Tensor:
        outer = (*lead, *before)
        if by_step:
            return given.action.new_empty(length, *outer, batch, *rest)
        return given.action.new_empty(*outer, length, batch, *rest).movedim(len(outer), 0)

    def normed(*shape: int) -> Normed:
        return Normed(new(*shape), new(*shape[:-1], 1), new(*shape))

    return Kept(
        new(size), new(latents, classes), new(latents, classes), new(size), new(latents * classes),
        new(3 * each, before=(blocks,)), new(each, before=(blocks,)), new(latents, classes),
        normed(2, hidden), normed(size), normed(hidden),
    )  # fmt: skip


def by_model(x: Tensor, before: int) -> Tensor:
    """[L, ..., B, n] that lies as `kept_of` lays out what is not step by step, `before` axes first; copied if it does not."""
    return x.movedim(0, before).contiguous().movedim(before, 0)


class Wanted(NamedTuple):
    """Gradients by the new states [L, ..., B, deter] and by probabilities [L or 1, ..., B, S, K]; `keep` as given."""

    deter: Tensor
    prob: Tensor
    keep: Tensor


class NormSlopes(NamedTuple):
    """A norm's gradients, [L, ..., size].

    Attributes:
        slope: of what it made by `unit`. given, passed: by what it made and by what it read, filled in step by step.
    """

    slope: Tensor
    given: Tensor
    passed: Tensor


class Slopes(NamedTuple):
    """What the backward steps read beside `Kept`, and fill in.

    Attributes:
        by_old, by_gates: [L, ..., G, B, d] and [L, ..., G, B, 3, d], derivatives of the new state by the old one and by the gates
            before their activations.
        to_logits, to_gates: gradients, filled in. read, core, post: of the norms.
    """

    by_old: Tensor
    by_gates: Tensor
    to_logits: Tensor
    to_gates: Tensor
    read: NormSlopes
    core: NormSlopes
    post: NormSlopes

    @property
    def norms(self) -> tuple[NormSlopes, NormSlopes, NormSlopes]:
        return self.read, self.core, self.post


def slopes_of(w: ScanWeights, kept: Kept) -> Slopes:
    """Of all steps at once, what needs no gradient yet."""
    by_old, by_gates = _gate_slopes(kept.gates, kept.candidates, blocked(kept.old_deter, w.gates.shape[-3]))
    norms = []
    for made, scale in zip(kept.norms, norm_scales(w), strict=True):
        slope = silu_backward(scale.expand_as(made.unit), made.unit * scale)
        norms.append(NormSlopes(slope, torch.empty_like(made.unit), torch.empty_like(made.unit)))
    return Slopes(by_old, by_gates, torch.empty_like(kept.soft), torch.empty_like(by_gates), *norms)


def through_softmax(by_mixed: Tensor, soft: Tensor, out: Tensor) -> Tensor:
    """The gradient by logits [..., S, K], from that by their softmax after the uniform mixture, which is overwritten."""
    by_soft = by_mixed.mul_(soft)
    return torch.mul(by_soft.addcmul_(soft, by_soft.sum(-1, keepdim=True), value=-1), 1 - UNIMIX, out=out)


def norm_scales(w: ScanWeights) -> tuple[Tensor, Tensor, Tensor]:
    """Of the norms `read`, `core` and `post`, as their rows broadcast against them."""
    return w.in_scale.unsqueeze(-3), w.core_scale.unsqueeze(-2), w.post_scale.unsqueeze(-2)


def _gate_slopes(gates: Tensor, candidate: Tensor, old: Tensor) -> tuple[Tensor, Tensor]:
    """Derivatives of the new state by the old one [L, G, B, d] and by the gates before their activation [L, G, B, 3, d].

    Args:
        gates: [L, G, B, 3 * d]: sigmoid(reset), candidate, sigmoid(update - 1).
        candidate, old: [L, G, B, d], tanh(reset * candidate) and the state before.
    """
    reset, raw, update = gates.chunk(3, -1)
    slopes = torch.empty_like(gates).unflatten(-1, (3, -1))
    through = _tanh_backward(update, candidate)
    torch.mul(_sigmoid_backward(through, reset), raw, out=slopes[..., 0, :])
    torch.mul(through, reset, out=slopes[..., 1, :])
    torch.mul(candidate - old, _sigmoid_backward(torch.ones_like(update), update), out=slopes[..., 2, :])
    return 1 - update, slopes


def blocked(x: Tensor, blocks: int) -> Tensor:
    """[..., B, deter] -> [..., G, B, d], a view."""
    return x.unflatten(-1, (blocks, -1)).transpose(-3, -2)


def joined(x: Tensor) -> Tensor:
    """[..., i, j] -> [n, i, j], as batched products want it: a view where it can be one."""
    return x.reshape(-1, *x.shape[-2:])


def over_time(x: Tensor) -> Tensor:
    """[L, ..., B, n] -> [..., L * B, n]."""
    return x.movedim(0, -3).flatten(-3, -2)
