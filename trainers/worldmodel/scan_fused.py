"""The steps of the scan as ten GPU kernels a step, written in Triton, which CUDA's torch brings along.

In torch's own operations a step is ninety kernels, each of which takes a GPU less time than starting it.
"""

from functools import cache
from importlib.util import find_spec
from typing import Any

import torch
from torch import Tensor

from trainers.worldmodel.layers import EPS
from trainers.worldmodel.losses import UNIMIX
from trainers.worldmodel.scan_types import Given, Kept, Normed, ScanWeights, Slopes, Wanted

DEVICES = ["cuda"]
_LEAST = 16  # rows or columns of a tile, for a matrix unit
_MOST_ROWS = 64
_TILE = 8192  # numbers of a tile of rows
_WARPS = 8  # of a program
_MANY = 4  # models, from which on programs are enough to be twice as wide


@cache
def _triton() -> bool:
    return find_spec("triton") is not None


def fits(given: Given, w: ScanWeights) -> bool:
    """Whether these kernels can run the scan: float32 on a GPU, in sizes that tiles divide."""
    action, classes = given.action, given.noise.shape[-1]
    sizes = (action.shape[-1], given.embed.shape[-1], given.stoch.shape[-1], w.gates.shape[-2])
    even = all(size % _LEAST == 0 for size in sizes) and classes & (classes - 1) == 0 and classes <= _TILE // _MOST_ROWS
    return action.device.type in DEVICES and w.gates.dtype == torch.float32 and even and _triton()


class _Launch:
    """Starts kernels, with the sizes that they share."""

    def __init__(self, action: Tensor, w: ScanWeights, flat: int, classes: int) -> None:
        (_, *lead, self.batch, self.deter), self.hidden, self.flat = action.shape, w.post_scale.shape[-1], flat
        self.each, models = w.gates.shape[-2], lead[0] if lead else 1
        self.rows = min(_MOST_ROWS, max(_LEAST, _power(self.batch)))
        self._programs = models * -(-self.batch // self.rows)
        wide = 2 * _LEAST
        even = all(size % wide == 0 for size in (self.deter, self.hidden, self.flat, self.each))
        self.columns = wide if models >= _MANY and even else _LEAST
        self.wide = max(self.columns, classes)
        precision = "ieee" if torch.get_float32_matmul_precision() == "highest" else "tf32"
        self._shared = {"BM": self.rows, "PARTS": _WARPS, "PRECISION": precision, "num_warps": _WARPS, "num_stages": 1}

    def tile(self, size: int) -> int:
        """The widest even share of `size` numbers that a tile of rows may have."""
        return min(size & -size, _TILE // self.rows)

    def shares(self, size: int) -> int:
        """Programs that make `size` columns of a product."""
        return size // self.columns

    def sums(self, made: Normed) -> Tensor:
        """Memory for a norm's sums, of one step."""
        rows = made.unit.shape[1:]
        return made.unit.new_empty(*rows[:-1], self.shares(rows[-1]))

    def __call__(self, kernel: Any, width: int, *tensors: Tensor, columns: int = 0, **sizes: Any) -> None:
        """Start `kernel` for all rows and `width` columns, so many of them a program."""
        columns = columns or self.columns
        kernel[(width // columns, self._programs)](*tensors, self.batch, BN=columns, **self._shared, **sizes)


def _power(size: int) -> int:
    """The least power of two that is not below `size`."""
    return 1 << (size - 1).bit_length()


def forward(given: Given, w: ScanWeights, kept: Kept) -> None:
    """Fill `kept` step by step."""
    from trainers.kernels import scan as kernels

    given, w = Given(*(x.contiguous() for x in given)), ScanWeights(*(x.contiguous() for x in w))
    classes = given.noise.shape[-1]
    start = _Launch(given.action, w, given.stoch.shape[-1], classes)
    d, h, f, each = start.deter, start.hidden, start.flat, start.each
    tile_d, tile_h, tile_f, tile_e = (start.tile(size) for size in (d, h, f, each))
    space_d, space_h = _power(start.shares(d)), _power(start.shares(h))
    own_read, own_post = _power(-(-2 * h // start.shares(d))), _power(-(-h * start.wide // f))  # columns of a norm per program
    raw_read, raw_core, raw_post = (torch.empty_like(norm.unit[0]) for norm in kept.norms)
    read_sums, core_sums, post_sums = (start.sums(norm) for norm in kept.norms)
    deter, stoch = given.deter, given.stoch
    for t in range(len(given.action)):
        old_deter, old_stoch, made, latent = kept.old_deter[t], kept.old_stoch[t], kept.deters[t], kept.latents[t]
        read, core, post = ([part[t] for part in norm] for norm in kept.norms)
        start(
            kernels.read, 2 * h, deter, stoch, given.keep[t], old_deter, old_stoch, w.deter_in, w.deter_bias, w.stoch_in,
            w.stoch_bias, raw_read, read_sums, D=d, F=f, H=h, BD=tile_d, BF=tile_f,
        )  # fmt: skip
        start(
            kernels.core, d, raw_read, read_sums, w.in_scale, *read, old_deter, given.action[t], w.core_state, w.core_deter,
            raw_core, core_sums, D=d, H=h, EACH=each, BH=tile_h, BE=tile_e, OWN=own_read, SPACE=space_h, EPS=EPS,
        )  # fmt: skip
        start(
            kernels.gate, d, raw_core, core_sums, w.core_scale, *core, old_deter, w.gates, w.gates_bias, kept.gates[t],
            kept.candidates[t], made, D=d, EACH=each, BE=tile_e, SPACE=space_d, EPS=EPS,
        )  # fmt: skip
        start(kernels.post, h, made, w.post_deter, given.embed[t], raw_post, post_sums, D=d, H=h, BD=tile_d)
        start(
            kernels.sample, f, raw_post, post_sums, w.post_scale, *post, w.post_out, w.post_bias, given.noise[t], kept.soft[t],
            kept.probs[t], latent, columns=start.wide, F=f, H=h, CLASSES=classes, BH=tile_h, OWN=own_post,
            SHARES=start.shares(h), SPACE=space_h, EPS=EPS, UNIMIX=UNIMIX,
        )  # fmt: skip
        deter, stoch = made, latent


def backward(wanted: Wanted, slopes: Slopes, w: ScanWeights, kept: Kept) -> tuple[Tensor, Tensor]:
    """Fill `slopes` from the last step to the first; returns the gradients by the state before that, [B, deter] and [B, S, K]."""
    from trainers.kernels import scan as kernels

    w = ScanWeights(*(x.contiguous() for x in w))
    by_deter, by_prob, keep = wanted.deter.contiguous(), wanted.prob.expand(kept.soft.shape).contiguous(), wanted.keep.contiguous()
    by_old, by_gates, classes = slopes.by_old.contiguous(), slopes.by_gates, kept.soft.shape[-1]
    start = _Launch(kept.deters, w, kept.old_stoch.shape[-1], classes)
    d, h, f, each = start.deter, start.hidden, start.flat, start.each
    tile_d, tile_h, tile_f, tile_e, tile_g = (start.tile(size) for size in (d, h, f, each, 3 * each))
    space_d, space_h = _power(start.shares(d)), _power(start.shares(h))
    deter, stoch = torch.zeros_like(kept.deters[0]), torch.zeros_like(kept.soft[0])
    total, old = torch.empty_like(deter), torch.empty_like(deter)
    read, core, post = kept.norms
    grads = [torch.empty_like(norm.unit[0]) for norm in kept.norms]  # by `unit`
    sums = [start.sums(norm) for norm in kept.norms]
    for t in reversed(range(len(kept.deters))):
        to_read, to_core, to_post = (
            (own.given[t], grad, share, own.slope[t], norm.unit[t])
            for own, grad, share, norm in zip(slopes.norms, grads, sums, kept.norms, strict=True)
        )
        of_read, of_core, of_post = (
            (grad, share, norm.unit[t], norm.rstd[t]) for grad, share, norm in zip(grads, sums, (read, core, post), strict=True)
        )
        to_gates = slopes.to_gates[t]
        start(
            kernels.sample_back, h, stoch, by_prob[t], kept.soft[t], w.post_out, slopes.to_logits[t], *to_post, F=f, H=h,
            CLASSES=classes, BF=tile_f, UNIMIX=UNIMIX,
        )  # fmt: skip
        start(
            kernels.post_back, d, *of_post, w.post_deter, by_deter[t], deter, by_gates[t], slopes.post.passed[t], total, to_gates,
            D=d, H=h, EACH=each, BH=tile_h, SPACE=space_h,
        )  # fmt: skip
        start(kernels.gate_back, d, to_gates, w.gates, *to_core, D=d, EACH=each, BE=tile_g)
        start(
            kernels.core_back, 2 * h + d, *of_core, w.core_state, w.core_deter, total, by_old[t], slopes.core.passed[t], old,
            *to_read, D=d, H=h, EACH=each, BD=tile_d, BE=tile_e, SPACE=space_d,
        )  # fmt: skip
        start(
            kernels.read_back, d + f, *of_read, w.deter_in, w.stoch_in, old, keep[t], slopes.read.passed[t], deter, stoch,
            D=d, F=f, H=h, BH=tile_h, SPACE=space_h,
        )  # fmt: skip
    return deter, stoch
