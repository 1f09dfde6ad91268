"""The scan as ten GPU kernels a step (`trainers.kernels`).

In torch's own operations a step is ninety, each of which takes a GPU less time than starting it. Here a step does only what the
next one waits for; the rest is done for all steps at once, in torch.
"""

from typing import Any

import torch
from torch import Tensor

from trainers import kernels
from trainers.kernels import power_of_two
from trainers.worldmodel.layers import EPS
from trainers.worldmodel.losses import UNIMIX
from trainers.worldmodel.scan_types import (
    Given,
    Kept,
    ScanWeights,
    Slopes,
    Wanted,
    by_model,
    norm_scales,
    over_time,
    through_softmax,
)
from trainers.worldmodel.stepnorm import norm_silu, norm_silu_back

_LEAST = 16  # rows or columns of a tile, for a matrix unit
_MOST_ROWS = 64
_TILE = 16384  # numbers of a tile of rows at most, for a thread's registers
_WARPS = 4  # of a program
_MATRICES = ("deter_in", "stoch_in", "core_state", "core_deter", "gates", "post_deter", "post_out")
_MANY = 4  # models, from which on programs are enough to be twice as wide


def fits(given: Given, w: ScanWeights) -> bool:
    """Whether these kernels can run the scan: float32 on a GPU, in sizes that tiles divide."""
    action, classes = given.action, given.noise.shape[-1]
    sizes = (action.shape[-1], given.embed.shape[-1], given.stoch.shape[-1], w.gates.shape[-2])
    even = all(size % _LEAST == 0 for size in sizes) and classes & (classes - 1) == 0 and classes <= _TILE // _MOST_ROWS
    return w.gates.dtype == torch.float32 and even and kernels.reach(action)


class _Launch:
    """Starts kernels, with the sizes that they share."""

    def __init__(self, action: Tensor, w: ScanWeights, flat: int, classes: int, products: torch.dtype) -> None:
        (self.steps, *lead, self.batch, self.deter), self.hidden, self.flat = action.shape, w.post_scale.shape[-1], flat
        self.each, models, self._products = w.gates.shape[-2], lead[0] if lead else 1, products
        self.rows = min(_MOST_ROWS, max(_LEAST, power_of_two(self.batch)))
        self._programs = models * -(-self.batch // self.rows)
        wide = 2 * _LEAST
        even = all(size % wide == 0 for size in (self.deter, self.hidden, self.flat, self.each))
        self.columns = wide if models >= _MANY and even else _LEAST
        self.whole = max(self.columns, classes)  # columns of whole latent variables
        precision = "ieee" if torch.get_float32_matmul_precision() == "highest" else "tf32"
        bytes_each = (self.rows + self.whole) * products.itemsize  # of a term of a sum: of its rows, and of its matrix
        room = kernels.shared_memory(action.device) * 3 // 4
        self._tile = min(_TILE // self.rows, 1 << (room // bytes_each).bit_length() - 1)
        self._shared = {"BM": self.rows, "PARTS": _WARPS, "PRECISION": precision, "num_warps": _WARPS, "num_stages": 1}

    def tile(self, size: int) -> int:
        """The widest even share of `size` terms that a tile may have."""
        return min(size & -size, self._tile)

    def space(self, size: int) -> int:
        """The least power of two that is not below the programs that make `size` columns."""
        return power_of_two(size // self.columns)

    def memory(self, step: Tensor) -> tuple[Tensor, Tensor]:
        """For what is handed on of a norm's rows [..., size], of one step, and for its sums."""
        return step.new_empty(step.shape, dtype=self._products), step.new_empty(*step.shape[:-1], step.shape[-1] // self.columns)

    def sums(self, step: Tensor, out: Tensor) -> None:
        """Of squares of a step's rows [..., size], as programs share them."""
        torch.sum(step.square().unflatten(-1, (-1, self.columns)), -1, out=out)

    def __call__(self, kernel: Any, programs: int, *values: Any, columns: int = 0, **sizes: Any) -> None:
        """Start `kernel` for all rows, and so many programs along its columns."""
        kernel[(programs, self._programs)](*values, self.steps, self.batch, BN=columns or self.columns, **self._shared, **sizes)


def _operands(w: ScanWeights, products: torch.dtype) -> ScanWeights:
    """Matrices in the precision of products, the rest as it is."""
    matrices = {name: getattr(w, name).to(products) for name in _MATRICES}
    return ScanWeights(*(x.contiguous() for x in w._replace(**matrices)))


def forward(given: Given, w: ScanWeights, kept: Kept, products: torch.dtype) -> None:
    """Fill `kept`; the operands of products are of dtype `products`."""
    from trainers.kernels import scan_forward as steps

    lead = given.deter.dim() - 2
    action, embed, keeps, noise = (by_model(x, lead) for x in (given.action, given.embed, given.keep, given.noise))
    given, own = Given(action, embed, keeps, noise, given.deter.contiguous(), given.stoch.contiguous()), _operands(w, products)
    stoch_in = w.stoch_in.mT.to(products).contiguous()
    variables, classes = given.noise.shape[-2:]
    start = _Launch(given.action, w, variables * classes, classes, products)
    d, h, f, each, n = start.deter, start.hidden, start.flat, start.each, start.columns
    tile_d, tile_h, tile_e = (start.tile(size) for size in (d, h, each))
    space_d, space_h = start.space(d), start.space(h)
    raw_read, raw_core, raw_post = (norm.unit for norm in kept.norms)  # for now what the norms read
    (read, read_sums), (core, core_sums), (post, post_sums) = (start.memory(norm.unit[0]) for norm in kept.norms)
    deter, before = given.deter.to(products, copy=True), given.deter
    index = torch.empty(kept.soft.movedim(0, lead).shape[:-1], dtype=torch.int32, device=deter.device).movedim(lead, 0)
    first = (
        torch.baddbmm(bias.unsqueeze(-2), state, weight.mT) if state.dim() == 3 else torch.addmm(bias, state, weight.mT)
        for state, weight, bias in (
            (given.deter * given.keep[0], w.deter_in, w.deter_bias), (given.stoch * given.keep[0], w.stoch_in, w.stoch_bias),
        )
    )  # fmt: skip
    torch.stack(list(first), -2, out=raw_read[0])
    read.copy_(raw_read[0])
    start.sums(raw_read[0], read_sums)
    for t in range(len(given.action)):
        keep = given.keep[t]
        if t:
            start(
                steps.read, 2 * h // n, deter, index[t - 1], keep, own.deter_in, own.deter_bias, stoch_in, own.stoch_bias,
                raw_read[t], read, read_sums, D=d, F=f, H=h, S=variables, CLASSES=classes, BD=tile_d,
                BS=min(power_of_two(variables), _TILE // (start.rows * n)),
            )  # fmt: skip
        start(
            steps.core, d // n, read, read_sums, own.in_scale, deter, keep, given.action[t], own.core_state, own.core_deter,
            raw_core[t], core, core_sums, D=d, H=h, EACH=each, BH=tile_h, BE=tile_e, SPACE=space_h, EPS=EPS,
        )  # fmt: skip
        start(
            steps.gate, d // n, core, core_sums, own.core_scale, before, keep, own.gates, own.gates_bias, kept.gates[t],
            kept.candidates[t], kept.deters[t], deter, start.steps if t else 1, D=d, EACH=each, BE=tile_e, SPACE=space_d, EPS=EPS,
        )  # fmt: skip
        start(
            steps.post, h // n, deter, own.post_deter, given.embed[t], raw_post[t], post, post_sums, D=d, H=h, BD=tile_d,
        )  # fmt: skip
        start(
            steps.sample, f // start.whole, post, post_sums, own.post_scale, own.post_out, own.post_bias, given.noise[t],
            kept.soft[t], index[t], columns=start.whole, F=f, H=h, CLASSES=classes, BH=tile_h, SHARES=h // n, SPACE=space_h,
            EPS=EPS, UNIMIX=UNIMIX,
        )  # fmt: skip
        before = kept.deters[t]
    torch.add(UNIMIX / classes, kept.soft, alpha=1 - UNIMIX, out=kept.probs)
    kept.latents.copy_(index.unsqueeze(-1) == torch.arange(classes, device=index.device))
    _shifted(given.deter, kept.deters, given.keep, kept.old_deter)
    _shifted(given.stoch, kept.latents.flatten(-2), given.keep, kept.old_stoch)
    for norm, scale in zip(kept.norms, norm_scales(w), strict=True):
        norm_silu(norm, scale, torch.full_like(norm.rstd, EPS), norm.unit)


def _shifted(first: Tensor, made: Tensor, keep: Tensor, out: Tensor) -> None:
    """Fill in the state [L, ...] before each step, zero where it is forgotten."""
    torch.mul(first, keep[0], out=out[0])
    torch.mul(made[:-1], keep[1:], out=out[1:])


def backward(wanted: Wanted, slopes: Slopes, w: ScanWeights, kept: Kept, products: torch.dtype) -> tuple[Tensor, Tensor]:
    """Fill `slopes`; returns the gradients by the state before the first step, [B, deter] and [B, S, K]."""
    from trainers.kernels import scan_backward as steps

    own = _operands(w, products)
    lead = kept.deters.dim() - 3
    by_deter, by_prob, keep = (by_model(x, lead) for x in (wanted.deter, wanted.prob.expand(kept.soft.shape), wanted.keep))
    by_old, by_gates = by_model(slopes.by_old, lead + 1), by_model(slopes.by_gates, lead + 1)
    classes, length = kept.soft.shape[-1], len(kept.deters)
    start = _Launch(kept.deters, w, kept.old_stoch.shape[-1], classes, products)
    d, h, f, each, n = start.deter, start.hidden, start.flat, start.each, start.columns
    tile_d, tile_h, tile_f, tile_e, tile_g = (start.tile(size) for size in (d, h, f, each, 3 * each))
    space_d, space_h = start.space(d), start.space(h)
    common = [x.unflatten(-2, (length, -1)) for x in _common(w, kept)]
    shape = kept.deters[0].shape
    deter, total, old = (kept.deters.new_zeros(shape) for _ in range(3))
    stoch = kept.soft.new_empty(kept.soft[0].shape)
    last = through_softmax(by_prob[-1].clone(), kept.soft[-1], out=slopes.to_logits[-1])
    to_logits = last.to(products, copy=True).contiguous()
    memory = [start.memory(norm.unit[0]) for norm in kept.norms]
    (read, read_sums), (core, core_sums), (post, post_sums) = memory
    for t in reversed(range(length)):
        to_read, to_core, to_post = (
            (norm.given[t], *handed, norm.slope[t], made.unit[t])
            for norm, handed, made in zip(slopes.norms, memory, kept.norms, strict=True)
        )
        of_post, of_state, of_block, of_deter, of_stoch = (part[..., t, :, :] for part in common)
        before = max(t - 1, 0)
        start(steps.sample_back, h // n, to_logits, own.post_out, *to_post, F=f, H=h, BF=tile_f)
        start(
            steps.post_back, d // n, post, post_sums, kept.post.rstd[t], of_post, own.post_deter, by_deter[t], deter,
            by_gates[t], total, slopes.to_gates[t], D=d, H=h, EACH=each, BH=tile_h, SPACE=space_h,
        )  # fmt: skip
        start(steps.gate_back, d // n, slopes.to_gates[t], own.gates, *to_core, D=d, EACH=each, BG=tile_g)
        start(
            steps.core_back, (2 * h + d) // n, core, core_sums, kept.core.rstd[t], of_state, of_block, own.core_state,
            own.core_deter, total, by_old[t], old, *to_read, D=d, H=h, EACH=each, BD=tile_d, BE=tile_e, SPACE=space_d,
        )  # fmt: skip
        start(
            steps.read_back, d // n + f // start.whole, read, read_sums, kept.read.rstd[t], of_deter, of_stoch, own.deter_in,
            own.stoch_in, old, keep[t], by_prob[before], kept.soft[before], deter, slopes.to_logits[before], to_logits, stoch,
            D=d, F=f, H=h, CLASSES=classes, LAST=t == 0, BW=start.whole, BH=tile_h, SPACE=space_h, UNIMIX=UNIMIX,
        )  # fmt: skip
    for made, norm in zip(kept.norms, slopes.norms, strict=True):
        norm_silu_back(made, norm)
    return deter, stoch


def _common(w: ScanWeights, kept: Kept) -> tuple[Tensor, ...]:
    """[..., L * B, size]: the products of every norm's rows over their size with the weights that its gradient meets."""
    read, core, post = (over_time(norm.unit.flatten(-2) if norm is kept.read else norm.unit) for norm in kept.norms)
    by_block = core.unflatten(-1, (w.gates.shape[-3], -1)).transpose(-3, -2)
    of_deter, of_stoch = read.chunk(2, -1)
    return post @ w.post_deter, core @ w.core_state, by_block @ w.core_deter.mT, of_deter @ w.deter_in, of_stoch @ w.stoch_in
