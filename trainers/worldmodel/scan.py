"""The posterior's recurrence over a window as one differentiable function, which is what makes training on a CPU fast.

Autograd through the steps adds a product of rank B to every weight's gradient at every step. Here what each layer read and the
gradient of what it made are kept, and a weight's gradient is one product over all steps. Rows are [L, B, ...], so that a step is
contiguous. `RSSM.observe_step` is the same step in plain operations, and what the tests compare with.

Under `torch.func.vmap` several models' scans are one: rows are then [L, M, B, ...] and weights [M, ...], M models.
"""

from functools import partial, reduce
from typing import Any, NamedTuple

import torch
from jaxtyping import Float
from torch import Tensor

from trainers.worldmodel.losses import UNIMIX
from trainers.worldmodel.products import product
from trainers.worldmodel.stepnorm import Normed, StepNorm, StepNormBack

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


def scan(
    action: Float[Tensor, "L B deter"],
    embed: Float[Tensor, "L B hidden"],
    keep: Float[Tensor, "L B 1"],
    noise: Float[Tensor, "L B S K"],
    deter: Float[Tensor, "B deter"],
    stoch: Float[Tensor, "B S*K"],
    weights: ScanWeights,
) -> tuple[Float[Tensor, "L B deter"], Float[Tensor, "L B S K"], Float[Tensor, "L B S K"]]:
    """Filter a window, in the weights' precision whatever autocast says: products of a few rows gain nothing from fewer bits.

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
    with torch.autocast(action.device.type, enabled=False):
        sequences = (values.to(weights.gates.dtype) for values in (action, embed, keep, noise))
        made: tuple[Tensor, ...] = _Scan.apply(*sequences, deter, stoch, *weights)
    return made[0], made[1], made[2]


class _Kept(NamedTuple):
    """What the gradient needs of the forward pass, each [L, ...]; gates and candidates by block, [L, G, B, ...]."""

    old_deter: Tensor
    old_stoch: Tensor
    gates: Tensor
    candidates: Tensor
    soft: Tensor


class _Scan(torch.autograd.Function):
    """Axes before the rows' B are those of models: none, or one."""

    @staticmethod
    def forward(
        action: Tensor, embed: Tensor, keep: Tensor, noise: Tensor, deter: Tensor, stoch: Tensor, *weights: Tensor
    ) -> tuple[Tensor, ...]:
        w = ScanWeights(*weights)
        (length, *lead, batch, size), hidden, classes = action.shape, embed.shape[-1], noise.shape[-1]
        blocks, each = w.gates.shape[-3:-1]
        new, blocked = action.new_empty, partial(_blocked, blocks=blocks)
        deters, old_deter, old_stoch = new(action.shape), new(action.shape), new(length, *lead, batch, stoch.shape[-1])
        gates, candidates = new(length, *lead, blocks, batch, 3 * each), new(length, *lead, blocks, batch, each)
        soft, probs, latents = new(noise.shape), new(noise.shape), action.new_zeros(noise.shape)
        read = StepNorm((length, *lead, batch, 2, hidden), w.in_scale.unsqueeze(-3))
        core = StepNorm((length, *lead, batch, size), w.core_scale.unsqueeze(-2))
        post = StepNorm((length, *lead, batch, hidden), w.post_scale.unsqueeze(-2))
        dense = (w.deter_in, w.stoch_in, w.core_state, w.post_deter, w.post_out)
        deter_in, stoch_in, core_state, post_deter, post_out = (product(weight, batch, length) for weight in dense)
        core_deter, gates_in, gates_bias = _joined(w.core_deter), _joined(w.gates), _joined(w.gates_bias.unsqueeze(-2))
        deter_bias, stoch_bias, post_bias = w.deter_bias, w.stoch_bias, w.post_bias
        steps = _steps(
            action, embed, keep, noise, old_deter, blocked(old_deter), old_stoch, gates, candidates, deters, blocked(deters),
            soft, probs, latents,
        )  # fmt: skip
        for t, (act, emb, kept, eps, old, old_b, old_z, gate, cand, made, made_b, smooth, prob, latent) in enumerate(steps):
            torch.mul(deter, kept, out=old)
            torch.mul(stoch, kept, out=old_z)
            inputs = torch.stack([deter_in(old, deter_bias), stoch_in(old_z, stoch_bias)], -2)
            x = core_state(read.forward(t, inputs).flatten(-2), act)
            blocked(x).add_(torch.bmm(_joined(old_b), core_deter).view(old_b.shape))
            torch.baddbmm(gates_bias, _joined(blocked(core.forward(t, x))), gates_in, out=_joined(gate))
            reset, raw, update = gate.split(each, -1)
            torch.tanh(reset.sigmoid_() * raw, out=cand)
            torch.lerp(old_b, cand, update.sub_(1).sigmoid_(), out=made_b)
            logits = post_out(post.forward(t, post_deter(made, emb)), post_bias)
            torch.softmax(logits.view(smooth.shape), -1, out=smooth)
            torch.add(UNIMIX / classes, smooth, alpha=1 - UNIMIX, out=prob)
            latent.scatter_(-1, (prob / eps).argmax(-1, keepdim=True), 1.0)
            deter, stoch = made, latent.flatten(-2)
        return deters, latents, probs, old_deter, old_stoch, gates, candidates, soft, *read.made, *core.made, *post.made

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple[Tensor, ...], output: tuple[Tensor, ...]) -> None:
        ctx.save_for_backward(inputs[2], output[0], *inputs[6:], *output[3:])
        ctx.mark_non_differentiable(*output[3:])
        ctx.set_materialize_grads(False)  # or zeros are made for all that is kept

    @staticmethod
    def vmap(info: Any, in_dims: tuple[int | None, ...], *values: Tensor) -> tuple[tuple[Tensor, ...], tuple[int, ...]]:
        """Several models as one scan; of sequences the models' axis comes second, of all else first."""
        moved = []
        for number, (value, dim) in enumerate(zip(values, in_dims, strict=True)):
            own = value.unsqueeze(0).expand(info.batch_size, *value.shape) if dim is None else value.movedim(dim, 0)
            moved.append(own.movedim(0, 1) if number < _SEQUENCES else own)
        if moved[0].dim() != _RANK + 1:
            raise NotImplementedError("one level of vmap")
        made: tuple[Tensor, ...] = _Scan.apply(*moved)
        return made, (1,) * len(made)

    @staticmethod
    def backward(ctx: Any, *grads: Tensor | None) -> tuple[Tensor | None, ...]:
        keep, deters, *saved = ctx.saved_tensors
        count = len(ScanWeights._fields)
        w, kept = ScanWeights(*saved[:count]), _Kept(*saved[count : count + 5])
        made = [Normed(*saved[count + first : count + first + 3]) for first in (5, 8, 11)]
        scales = (w.in_scale.unsqueeze(-3), w.core_scale.unsqueeze(-2), w.post_scale.unsqueeze(-2))
        read, core, post = (StepNormBack(own, scale) for own, scale in zip(made, scales, strict=True))
        old_deter, old_stoch, gates, candidates, soft = kept
        (length, *_, batch, _size), blocked = old_deter.shape, partial(_blocked, blocks=w.gates.shape[-3])
        by_old, by_gates = _gate_slopes(gates, candidates, blocked(old_deter))
        to_logits, to_gates = torch.empty_like(soft), torch.empty_like(by_gates)
        dense = (w.deter_in, w.stoch_in, w.core_state, w.post_deter, w.post_out)
        deter_in, stoch_in, core_state, post_deter, post_out = (product(weight.mT, batch, length) for weight in dense)
        core_deter, gates_in = _joined(w.core_deter.mT), _joined(w.gates.mT)
        deter, stoch = torch.zeros_like(old_deter[0]), torch.zeros_like(soft[0])  # gradients that come from the step after
        from_deter, *from_latent = grads[:3]
        by_deter = torch.zeros_like(deters) if from_deter is None else from_deter
        known = [grad for grad in from_latent if grad is not None]
        by_prob = reduce(torch.add, known) if known else torch.zeros_like(soft[:1])
        steps = _steps(
            by_deter, by_prob.expand(soft.shape), keep, soft, by_old, by_gates, to_logits, to_gates, post.given,
            blocked(core.given), read.given.flatten(-2),
        )  # fmt: skip
        for t in reversed(range(length)):
            own_deter, own_prob, kept_here, smooth, slope, slopes, to_logit, to_gate, to_post, to_core, to_read = steps[t]
            prob = stoch.add_(own_prob).mul_(smooth)
            torch.mul(prob.addcmul_(smooth, prob.sum(-1, keepdim=True), value=-1), 1 - UNIMIX, out=to_logit)
            to_post.copy_(post_out(to_logit.flatten(-2)))
            deter = post_deter(post.backward(t), deter.add_(own_deter))
            torch.mul(blocked(deter).unsqueeze(-2), slopes, out=to_gate)
            to_core.copy_(torch.bmm(_joined(to_gate.flatten(-2)), gates_in).view(slope.shape))
            x = core.backward(t)
            to_read.copy_(core_state(x))
            to_deter, to_stoch = read.backward(t).unbind(-2)
            old = torch.bmm(_joined(blocked(x)), core_deter).view(slope.shape).addcmul_(blocked(deter), slope)
            deter = deter_in(to_deter, old.transpose(-3, -2).flatten(-2)).mul_(kept_here)
            stoch = stoch_in(to_stoch).mul_(kept_here).view(smooth.shape)
        to_deter, to_stoch = _over_time(read.passed.flatten(-2)).chunk(2, -1)
        x, to_post, to_logit = _over_time(core.passed), _over_time(post.passed), _over_time(to_logits.flatten(-2))
        to_gate = _over_time(to_gates.flatten(-2))  # (..., G, L * B, 3 * d)
        old, old_z, core_out = _over_time(old_deter), _over_time(old_stoch), _over_time(made[1].out)
        return (
            core.passed, post.passed, None, None, deter, stoch.flatten(-2),
            to_deter.mT @ old, to_deter.sum(-2), to_stoch.mT @ old_z, to_stoch.sum(-2), read.scale_grad(-3),
            x.mT @ _over_time(made[0].out.flatten(-2)), blocked(old).mT @ blocked(x), core.scale_grad(-2),
            blocked(core_out).mT @ to_gate, to_gate.sum(-2),
            to_post.mT @ _over_time(deters), post.scale_grad(-2), to_logit.mT @ _over_time(made[2].out), to_logit.sum(-2),
        )  # fmt: skip


_SEQUENCES = 4  # of the scan's arguments, [L, B, ...]
_RANK = 3  # of a sequence


def _blocked(x: Tensor, blocks: int) -> Tensor:
    """[..., B, deter] -> [..., G, B, d], a view."""
    return x.unflatten(-1, (blocks, -1)).transpose(-3, -2)


def _joined(x: Tensor) -> Tensor:
    """[..., i, j] -> [n, i, j], as batched products want it: a view where it can be one."""
    return x.reshape(-1, *x.shape[-2:])


def _over_time(x: Tensor) -> Tensor:
    """[L, ..., B, n] -> [..., L * B, n]."""
    return x.movedim(0, -3).flatten(-3, -2)


def _steps(*values: Tensor) -> list[tuple[Tensor, ...]]:
    """Views of each step of values [L, ...], made at once: indexing at every step costs as much as the arithmetic."""
    return list(zip(*(value.unbind() for value in values), strict=True))


def _gate_slopes(gates: Tensor, candidate: Tensor, old: Tensor) -> tuple[Tensor, Tensor]:
    """Derivatives of the new state by the old one [L, G, B, d] and by the gates before their activation [L, G, B, 3, d].

    Args:
        gates: [L, G, B, 3 * d]: sigmoid(reset), candidate, sigmoid(update - 1).
        candidate, old: [L, G, B, d], tanh(reset * candidate) and the state before.
    """
    reset, raw, update = gates.chunk(3, -1)
    slopes = gates.new_empty((*candidate.shape[:-1], 3, candidate.shape[-1]))
    through = _tanh_backward(update, candidate)
    torch.mul(_sigmoid_backward(through, reset), raw, out=slopes[..., 0, :])
    torch.mul(through, reset, out=slopes[..., 1, :])
    torch.mul(candidate - old, _sigmoid_backward(torch.ones_like(update), update), out=slopes[..., 2, :])
    return 1 - update, slopes
