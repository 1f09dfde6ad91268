"""The steps of the scan in torch's own operations, made so that on a CPU little else than their products takes time."""

from functools import partial

import torch
from torch import Tensor

from trainers.worldmodel.losses import UNIMIX
from trainers.worldmodel.products import product
from trainers.worldmodel.scan_types import Given, Kept, ScanWeights, Slopes, Wanted, blocked, joined, norm_scales, through_softmax
from trainers.worldmodel.stepnorm import StepNorm, StepNormBack


def forward(given: Given, w: ScanWeights, kept: Kept) -> None:
    """Fill `kept` step by step."""
    (length, *_, batch, _size), each, classes = given.action.shape, w.gates.shape[-2], given.noise.shape[-1]
    by_block = partial(blocked, blocks=w.gates.shape[-3])
    read, core, post = (StepNorm(*own) for own in zip(kept.norms, norm_scales(w), strict=True))
    dense = (w.deter_in, w.stoch_in, w.core_state, w.post_deter, w.post_out)
    deter_in, stoch_in, core_state, post_deter, post_out = (product(weight, batch, length) for weight in dense)
    core_deter, gates_in, gates_bias = joined(w.core_deter), joined(w.gates), joined(w.gates_bias.unsqueeze(-2))
    deter_bias, stoch_bias, post_bias = w.deter_bias, w.stoch_bias, w.post_bias
    deter, stoch = given.deter, given.stoch
    kept.latents.zero_()
    steps = _steps(
        given.action, given.embed, given.keep, given.noise, kept.old_deter, by_block(kept.old_deter), kept.old_stoch, kept.gates,
        kept.candidates, kept.deters, by_block(kept.deters), kept.soft, kept.probs, kept.latents,
    )  # fmt: skip
    for t, (act, emb, keep, eps, old, old_b, old_z, gate, cand, made, made_b, smooth, prob, latent) in enumerate(steps):
        torch.mul(deter, keep, out=old)
        torch.mul(stoch, keep, out=old_z)
        inputs = torch.stack([deter_in(old, deter_bias), stoch_in(old_z, stoch_bias)], -2)
        x = core_state(read.forward(t, inputs).flatten(-2), act)
        by_block(x).add_(torch.bmm(joined(old_b), core_deter).view(old_b.shape))
        torch.baddbmm(gates_bias, joined(by_block(core.forward(t, x))), gates_in, out=joined(gate))
        reset, raw, update = gate.split(each, -1)
        torch.tanh(reset.sigmoid_() * raw, out=cand)
        torch.lerp(old_b, cand, update.sub_(1).sigmoid_(), out=made_b)
        logits = post_out(post.forward(t, post_deter(made, emb)), post_bias)
        torch.softmax(logits.view(smooth.shape), -1, out=smooth)
        torch.add(UNIMIX / classes, smooth, alpha=1 - UNIMIX, out=prob)
        latent.scatter_(-1, (prob / eps).argmax(-1, keepdim=True), 1.0)
        deter, stoch = made, latent.flatten(-2)


def backward(wanted: Wanted, slopes: Slopes, w: ScanWeights, kept: Kept) -> tuple[Tensor, Tensor]:
    """Fill `slopes` from the last step to the first; returns the gradients by the state before that, [B, deter] and [B, S, K]."""
    (length, *_, batch, _size), by_block = kept.old_deter.shape, partial(blocked, blocks=w.gates.shape[-3])
    read, core, post = (StepNormBack(*own) for own in zip(kept.norms, slopes.norms, strict=True))
    dense = (w.deter_in, w.stoch_in, w.core_state, w.post_deter, w.post_out)
    deter_in, stoch_in, core_state, post_deter, post_out = (product(weight.mT, batch, length) for weight in dense)
    core_deter, gates_in = joined(w.core_deter.mT), joined(w.gates.mT)
    deter, stoch = torch.zeros_like(kept.old_deter[0]), torch.zeros_like(kept.soft[0])  # gradients from the step after
    steps = _steps(
        wanted.deter, wanted.prob.expand(kept.soft.shape), wanted.keep, kept.soft, slopes.by_old, slopes.by_gates,
        slopes.to_logits, slopes.to_gates, slopes.post.given, by_block(slopes.core.given), slopes.read.given.flatten(-2),
    )  # fmt: skip
    for t in reversed(range(length)):
        own_deter, own_prob, keep, smooth, slope, by_gates, to_logit, to_gate, to_post, to_core, to_read = steps[t]
        through_softmax(stoch.add_(own_prob), smooth, out=to_logit)
        to_post.copy_(post_out(to_logit.flatten(-2)))
        deter = post_deter(post.backward(t), deter.add_(own_deter))
        torch.mul(by_block(deter).unsqueeze(-2), by_gates, out=to_gate)
        to_core.copy_(torch.bmm(joined(to_gate.flatten(-2)), gates_in).view(slope.shape))
        x = core.backward(t)
        to_read.copy_(core_state(x))
        to_deter, to_stoch = read.backward(t).unbind(-2)
        old = torch.bmm(joined(by_block(x)), core_deter).view(slope.shape).addcmul_(by_block(deter), slope)
        deter = deter_in(to_deter, old.transpose(-3, -2).flatten(-2)).mul_(keep)
        stoch = stoch_in(to_stoch).mul_(keep).view(smooth.shape)
    return deter, stoch


def _steps(*values: Tensor) -> list[tuple[Tensor, ...]]:
    """Views of each step of values [L, ...], made at once: indexing at every step costs as much as the arithmetic."""
    return list(zip(*(value.unbind() for value in values), strict=True))
