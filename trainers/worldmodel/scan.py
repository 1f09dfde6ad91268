"""The posterior's recurrence over a window as one differentiable function, which is what makes training on a CPU fast.

Autograd through the steps adds a product of rank B to every weight's gradient at every step. Here what each layer read and the
gradient of what it made are kept, and a weight's gradient is one product over all steps. Rows are [L, B, ...], so that a step is
contiguous. `RSSM.observe_step` is the same step in plain operations, and what the tests compare with.
"""

from functools import partial
from typing import Any, NamedTuple

import torch
from torch import Tensor

from trainers.worldmodel.losses import UNIMIX
from trainers.worldmodel.products import product
from trainers.worldmodel.stepnorm import StepNorm

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
    action: Tensor, embed: Tensor, keep: Tensor, noise: Tensor, deter: Tensor, stoch: Tensor, weights: ScanWeights
) -> tuple[Tensor, Tensor, Tensor]:
    """Filter a window.

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
    made: tuple[Tensor, Tensor, Tensor] = _Scan.apply(action, embed, keep, noise, deter, stoch, *weights)
    return made


class _Scan(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any, action: Tensor, embed: Tensor, keep: Tensor, noise: Tensor, deter: Tensor, stoch: Tensor, *weights: Tensor
    ) -> tuple[Tensor, Tensor, Tensor]:
        w = ScanWeights(*weights)
        (length, batch, size), hidden, classes, (blocks, each, _) = action.shape, embed.shape[-1], noise.shape[-1], w.gates.shape
        new, blocked = action.new_empty, partial(_blocked, blocks=blocks)
        deters, old_deter, old_stoch = new(action.shape), new(action.shape), new(length, batch, stoch.shape[-1])
        gates, candidates = new(length, blocks, batch, 3 * each), new(length, blocks, batch, each)
        soft, probs, latents = new(noise.shape), new(noise.shape), torch.zeros_like(noise)
        read, core = StepNorm((length, batch, 2, hidden), w.in_scale), StepNorm((length, batch, size), w.core_scale)
        post = StepNorm((length, batch, hidden), w.post_scale)
        dense = (w.deter_in, w.stoch_in, w.core_state, w.post_deter, w.post_out)
        deter_in, stoch_in, core_state, post_deter, post_out = (product(weight, batch, length) for weight in dense)
        gates_bias = w.gates_bias.unsqueeze(1)
        steps = _steps(
            action, embed, keep, noise, old_deter, blocked(old_deter), old_stoch, gates, candidates, deters, blocked(deters),
            soft, probs, latents,
        )  # fmt: skip
        for t, (act, emb, kept, eps, old, old_b, old_z, gate, cand, made, made_b, smooth, prob, latent) in enumerate(steps):
            torch.mul(deter, kept, out=old)
            torch.mul(stoch, kept, out=old_z)
            inputs = torch.stack([deter_in(old, w.deter_bias), stoch_in(old_z, w.stoch_bias)], 1)
            x = core_state(read.forward(t, inputs).flatten(1), act)
            blocked(x).add_(torch.bmm(old_b, w.core_deter))
            reset, raw, update = torch.baddbmm(gates_bias, blocked(core.forward(t, x)), w.gates, out=gate).split(each, -1)
            torch.tanh(reset.sigmoid_() * raw, out=cand)
            torch.lerp(old_b, cand, update.sub_(1).sigmoid_(), out=made_b)
            logits = post_out(post.forward(t, post_deter(made, emb)), w.post_bias)
            torch.softmax(logits.view_as(smooth), -1, out=smooth)
            torch.add(UNIMIX / classes, smooth, alpha=1 - UNIMIX, out=prob)
            latent.scatter_(-1, (prob / eps).argmax(-1, keepdim=True), 1.0)
            deter, stoch = made, latent.flatten(1)
        ctx.save_for_backward(keep, deters, *weights)  # `deters` is an output: kept on ctx itself it would be a cycle
        ctx.kept = (old_deter, old_stoch, gates, candidates, soft, read, core, post)
        return deters, latents, probs

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor | None, ...]:
        keep, deters, *weights = ctx.saved_tensors
        w = ScanWeights(*weights)
        old_deter, old_stoch, gates, candidates, soft, read, core, post = ctx.kept
        (length, batch, size), blocked = old_deter.shape, partial(_blocked, blocks=len(w.gates))
        for norm in (read, core, post):
            norm.begin_backward()
        by_old, by_gates = _gate_slopes(gates, candidates, blocked(old_deter))
        to_logits, to_gates = torch.empty_like(soft), torch.empty_like(by_gates)
        dense = (w.deter_in, w.stoch_in, w.core_state, w.post_deter, w.post_out)
        deter_in, stoch_in, core_state, post_deter, post_out = (product(weight.t(), batch, length) for weight in dense)
        core_deter, gates_in = w.core_deter.mT, w.gates.mT
        deter, stoch = torch.zeros_like(old_deter[0]), torch.zeros_like(soft[0])  # gradients that come from the step after
        steps = _steps(
            grads[0], grads[1] + grads[2], keep, soft, by_old, by_gates, to_logits, to_gates, post.given, blocked(core.given),
            read.given.flatten(2),
        )  # fmt: skip
        for t in reversed(range(length)):
            from_deter, from_prob, kept, smooth, slope, slopes, to_logit, to_gate, to_post, to_core, to_read = steps[t]
            prob = stoch.add_(from_prob).mul_(smooth)
            torch.mul(prob.addcmul_(smooth, prob.sum(-1, keepdim=True), value=-1), 1 - UNIMIX, out=to_logit)
            to_post.copy_(post_out(to_logit.flatten(1)))
            deter = post_deter(post.backward(t), deter.add_(from_deter))
            torch.mul(blocked(deter).unsqueeze(2), slopes, out=to_gate)
            to_core.copy_(torch.bmm(to_gate.flatten(2), gates_in))
            x = core.backward(t)
            to_read.copy_(core_state(x))
            to_deter, to_stoch = read.backward(t).unbind(1)
            old = torch.bmm(blocked(x), core_deter).addcmul_(blocked(deter), slope)
            deter = deter_in(to_deter, old.transpose(0, 1).reshape(batch, size)).mul_(kept)
            stoch = stoch_in(to_stoch).mul_(kept).view_as(smooth)
        to_deter, to_stoch = read.passed.flatten(0, 1).unbind(1)
        x, to_post, to_logit = core.passed.flatten(0, 1), post.passed.flatten(0, 1), to_logits.flatten(0, 1).flatten(1)
        to_gate = to_gates.flatten(3).transpose(0, 1).flatten(1, 2)  # (G, L * B, 3 * d)
        old, old_z = old_deter.flatten(0, 1), old_stoch.flatten(0, 1)
        return (
            core.passed, post.passed, None, None, deter, stoch.flatten(1),
            to_deter.t() @ old, to_deter.sum(0), to_stoch.t() @ old_z, to_stoch.sum(0), read.scale_grad(),
            x.t() @ read.out.flatten(0, 1).flatten(1), torch.bmm(blocked(old).mT, blocked(x)), core.scale_grad(),
            torch.bmm(blocked(core.out.flatten(0, 1)).mT, to_gate), to_gate.sum(1),
            to_post.t() @ deters.flatten(0, 1), post.scale_grad(), to_logit.t() @ post.out.flatten(0, 1), to_logit.sum(0),
        )  # fmt: skip


def _blocked(x: Tensor, blocks: int) -> Tensor:
    """[..., B, deter] -> [..., G, B, d], a view."""
    return x.unflatten(-1, (blocks, -1)).transpose(-3, -2)


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
