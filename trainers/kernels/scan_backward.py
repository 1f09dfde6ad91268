"""The gradient of a step of the scan as five Triton kernels; symbols as in `scan_forward`.

A norm's gradient is its rows' less what these have in common, and goes through a product. The product of what they have in common
is known for all steps before the first: `common`, of every step.
"""

# mypy: ignore-errors
import triton
import triton.language as tl

from trainers.kernels.tiles import add_up, blocked_rows, load, product, rows_of, store


@triton.jit
def _from_norm(made, given, handed, sums, slope, unit, kept, rows, there, stride, columns, shares, share):
    """Store the gradient by what a norm made [BM, BN], that by its rows over their size, and a share of what is common."""
    by_unit = made * load(slope, kept, there, stride, columns)
    store(given, kept, there, stride, columns, made)
    store(handed, rows, there, stride, columns, by_unit.to(handed.dtype.element_ty))
    tl.store(sums + rows * shares + share, tl.sum(by_unit * load(unit, kept, there, stride, columns), 1), mask=there)


@triton.jit
def _less_common(made, common, rows, there, stride, columns, mean, rstd):
    """What a norm passes on, of a product `made` [BM, BN] of its rows, by what all of these have in common."""
    return (made - load(common, rows, there, stride, columns) * mean[:, None]) * rstd[:, None]


@triton.jit
def sample_back(
    to_logits, weight, given, handed, sums, slope, unit, STEPS, B, F: tl.constexpr, H: tl.constexpr, BM: tl.constexpr,
    BN: tl.constexpr, BF: tl.constexpr, PARTS: tl.constexpr, PRECISION: tl.constexpr,
):  # fmt: skip
    """The gradient by what the posterior's norm made [M, B, H]."""
    model, kept, rows, there = rows_of(STEPS, B, BM)
    block = tl.program_id(0)
    columns = block * BN + tl.arange(0, BN)
    acc = tl.zeros([BM, BN], tl.float32)
    acc = product(acc, to_logits, rows, there, F, weight + model * F * H, H, columns, 1, F, BF, PARTS, PRECISION)
    _from_norm(acc, given, handed, sums, slope, unit, kept, rows, there, H, columns, H // BN, block)


@triton.jit
def post_back(
    post_handed, post_sums, post_rstd, post_common, weight, own_deter, carried, by_gates, total, to_gates, STEPS, B,
    D: tl.constexpr, H: tl.constexpr, EACH: tl.constexpr, BM: tl.constexpr, BN: tl.constexpr, BH: tl.constexpr,
    SPACE: tl.constexpr, PARTS: tl.constexpr, PRECISION: tl.constexpr,
):  # fmt: skip
    """Gradients by the new state [M, B, D] and by its gates [M, G, B, 3, EACH]."""
    model, kept, rows, there = rows_of(STEPS, B, BM)
    columns = tl.program_id(0) * BN + tl.arange(0, BN)
    acc = tl.zeros([BM, BN], tl.float32)
    acc = product(acc, post_handed, rows, there, H, weight + model * H * D, D, columns, 1, H, BH, PARTS, PRECISION)
    mean = add_up(post_sums, rows, there, H // BN, SPACE) / H
    rstd = tl.load(post_rstd + kept, mask=there, other=0.0)
    acc = _less_common(acc, post_common, kept, there, D, columns, mean, rstd)
    acc += load(own_deter, kept, there, D, columns) + load(carried, rows, there, D, columns)
    store(total, rows, there, D, columns, acc)
    start = tl.program_id(0) * BN // EACH
    blocked = blocked_rows(kept, model, start, STEPS, B, D // EACH)
    for part in tl.static_range(3):
        at = part * EACH + columns - start * EACH
        store(to_gates, blocked, there, 3 * EACH, at, acc * load(by_gates, blocked, there, 3 * EACH, at))


@triton.jit
def gate_back(
    to_gates, gates, given, handed, sums, slope, unit, STEPS, B, D: tl.constexpr, EACH: tl.constexpr, BM: tl.constexpr,
    BN: tl.constexpr, BG: tl.constexpr, PARTS: tl.constexpr, PRECISION: tl.constexpr,
):  # fmt: skip
    """The gradient by what the core's norm made [M, B, D]."""
    model, kept, rows, there = rows_of(STEPS, B, BM)
    block = tl.program_id(0)
    columns = block * BN + tl.arange(0, BN)
    blocked = blocked_rows(kept, model, block * BN // EACH, STEPS, B, D // EACH)
    acc = tl.zeros([BM, BN], tl.float32)
    weight = gates + model * D * 3 * EACH
    acc = product(acc, to_gates, blocked, there, 3 * EACH, weight, 1, columns, 3 * EACH, 3 * EACH, BG, PARTS, PRECISION)
    _from_norm(acc, given, handed, sums, slope, unit, kept, rows, there, D, columns, D // BN, block)


@triton.jit
def core_back(
    core_handed, core_sums, core_rstd, state_common, deter_common, core_state, core_deter, total, by_old, old, given, handed,
    sums, slope, unit, STEPS, B, D: tl.constexpr, H: tl.constexpr, EACH: tl.constexpr, BM: tl.constexpr, BN: tl.constexpr,
    BD: tl.constexpr, BE: tl.constexpr, SPACE: tl.constexpr, PARTS: tl.constexpr, PRECISION: tl.constexpr,
):  # fmt: skip
    """Gradients by what both norms made [M, B, 2, H], and by the state before as far as it skips them [M, B, D]."""
    model, kept, rows, there = rows_of(STEPS, B, BM)
    block = tl.program_id(0)
    rstd = tl.load(core_rstd + kept, mask=there, other=0.0)
    mean = add_up(core_sums, rows, there, D // BN, SPACE) / D
    acc = tl.zeros([BM, BN], tl.float32)
    if block < 2 * H // BN:
        columns = block * BN + tl.arange(0, BN)
        weight = core_state + model * D * 2 * H
        acc = product(acc, core_handed, rows, there, D, weight, 2 * H, columns, 1, D, BD, PARTS, PRECISION)
        acc = _less_common(acc, state_common, kept, there, 2 * H, columns, mean, rstd)
        _from_norm(acc, given, handed, sums, slope, unit, kept, rows, there, 2 * H, columns, 2 * H // BN, block)
    else:
        block -= 2 * H // BN
        columns = block * BN + tl.arange(0, BN)
        start = block * BN // EACH
        x, weight = core_handed + start * EACH, core_deter + model * D * EACH
        acc = product(acc, x, rows, there, D, weight, 1, columns, EACH, EACH, BE, PARTS, PRECISION)
        blocked, inside = blocked_rows(kept, model, start, STEPS, B, D // EACH), columns - start * EACH
        acc = _less_common(acc, deter_common, blocked, there, EACH, inside, mean, rstd)
        skips = load(by_old, blocked, there, EACH, inside) * load(total, rows, there, D, columns)
        store(old, rows, there, D, columns, acc + skips)


@triton.jit
def read_back(
    read_handed, read_sums, read_rstd, deter_common, stoch_common, deter_in, stoch_in, old, keep, own_prob, soft, to_deter,
    to_logits, handed, to_stoch, STEPS, B, D: tl.constexpr, F: tl.constexpr, H: tl.constexpr, CLASSES: tl.constexpr,
    LAST: tl.constexpr, BM: tl.constexpr, BN: tl.constexpr, BW: tl.constexpr, BH: tl.constexpr, SPACE: tl.constexpr,
    PARTS: tl.constexpr, UNIMIX: tl.constexpr, PRECISION: tl.constexpr,
):  # fmt: skip
    """Gradients by the state before [M, B, D], and by the logits of its latent [M, B, F] (`soft`, `own_prob`: of that step).

    At the last step that goes backward, which is the first of the window, by the latent itself.
    """
    model, kept, rows, there = rows_of(STEPS, B, BM)
    goes_on = tl.load(keep + kept, mask=there, other=0.0)[:, None]
    block = tl.program_id(0)
    if block < D // BN:
        columns = block * BN + tl.arange(0, BN)
        rstd = tl.load(read_rstd + kept * 2, mask=there, other=0.0)
        mean = add_up(read_sums, rows * 2, there, H // BN, SPACE) / H
        acc = tl.zeros([BM, BN], tl.float32)
        weight = deter_in + model * H * D
        acc = product(acc, read_handed, rows, there, 2 * H, weight, D, columns, 1, H, BH, PARTS, PRECISION)
        acc = _less_common(acc, deter_common, kept, there, D, columns, mean, rstd)
        store(to_deter, rows, there, D, columns, (acc + load(old, rows, there, D, columns)) * goes_on)
    else:
        logits = (block - D // BN) * BW + tl.arange(0, BW)
        rstd = tl.load(read_rstd + kept * 2 + 1, mask=there, other=0.0)
        mean = add_up(read_sums, rows * 2 + 1, there, H // BN, SPACE) / H
        latent = tl.zeros([BM, BW], tl.float32)
        weight = stoch_in + model * H * F
        latent = product(latent, read_handed + H, rows, there, 2 * H, weight, F, logits, 1, H, BH, PARTS, PRECISION)
        latent = _less_common(latent, stoch_common, kept, there, F, logits, mean, rstd) * goes_on
        if LAST:
            store(to_stoch, rows, there, F, logits, latent)
        else:
            share = load(soft, kept, there, F, logits)
            x = (latent + load(own_prob, kept, there, F, logits)) * share
            whole = tl.sum(tl.reshape(x, [BM, BW // CLASSES, CLASSES]), 2, keep_dims=True)
            whole = tl.reshape(tl.broadcast_to(whole, [BM, BW // CLASSES, CLASSES]), [BM, BW])
            x = (x - share * whole) * (1 - UNIMIX)
            store(to_logits, kept, there, F, logits, x)
            store(handed, rows, there, F, logits, x.to(handed.dtype.element_ty))
