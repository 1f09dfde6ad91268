"""A step of the scan as five Triton kernels.

Starting a kernel takes a GPU longer than a step's arithmetic, and a step's rows are few. So each kernel makes some columns of one
product in every program, and each program begins by doing again, for all its rows, what lies between the product before and this
one. A norm's sum comes with the product that it is of, a share from every program. What all steps can do at once is not here.

Pointers are to one step of what is of every step, or to what is handed on (`tiles`). Weights, and what is handed on, are in the
precision of products, all else in float32. Weights as in `ScanWeights`, but `stoch_in` [M, F, H]. B rows, D deter, H hidden,
F = S * CLASSES flat latent, blocks of EACH = D / G. A tile has BD, BH, ... of a sum's D, H, ... terms.
"""

# mypy: ignore-errors
import triton
import triton.language as tl

from trainers.kernels.tiles import add_up, blocked_rows, dot, load, matrix, product, rows_of, store, terms_of, wide


@triton.jit
def _normed(handed, scale, rstd, rows, there, stride, terms):
    """SiLU of the norm of rows [parts, BM, n / parts]."""
    x = wide(handed, rows, there, stride, terms).to(tl.float32) * rstd[None, :, None] * tl.load(scale + terms)[:, None, :]
    return x / (1 + tl.exp(-x))


@triton.jit
def _normed_product(
    made, x, scale, rstd, rows, there, stride, weight, by_term, columns, by_column, SIZE: tl.constexpr, TILE: tl.constexpr,
    PARTS: tl.constexpr, PRECISION: tl.constexpr,
):  # fmt: skip
    """`product` with SiLU of the norm of rows."""
    for first in range(0, SIZE, TILE):
        terms = terms_of(first, TILE, PARTS)
        normed = _normed(x, scale, rstd, rows, there, stride, terms)
        made += dot(normed, matrix(weight, terms, by_term, columns, by_column), PRECISION)
    return made


@triton.jit
def _to_norm(made, raw, handed, sums, kept, rows, there, stride, columns, shares, share):
    """Store what a norm will read [BM, BN], and this program's share of its squares."""
    store(raw, kept, there, stride, columns, made)
    store(handed, rows, there, stride, columns, made.to(handed.dtype.element_ty))
    tl.store(sums + rows * shares + share, tl.sum(made * made, 1), mask=there)


@triton.jit
def read(
    deter, index, keep, deter_in, deter_bias, stoch_in, stoch_bias, raw, handed, sums, STEPS, B, D: tl.constexpr,
    F: tl.constexpr, H: tl.constexpr, S: tl.constexpr, CLASSES: tl.constexpr, BM: tl.constexpr, BN: tl.constexpr,
    BD: tl.constexpr, BS: tl.constexpr, PARTS: tl.constexpr, PRECISION: tl.constexpr,
):  # fmt: skip
    """Products of the state before, forgotten where `keep` is zero: raw [M, B, 2, H]; its latent is given by index [M, B, S]."""
    model, kept, rows, there = rows_of(STEPS, B, BM)
    block = tl.program_id(0)
    half = block // (H // BN)
    columns = (block - half * (H // BN)) * BN + tl.arange(0, BN)
    acc = tl.zeros([BM, BN], tl.float32)
    if half == 0:
        bias = tl.load(deter_bias + model * H + columns)
        weight = deter_in + model * H * D
        acc = product(acc, deter, rows, there, D, weight, 1, columns, D, D, BD, PARTS, PRECISION)
    else:
        bias = tl.load(stoch_bias + model * H + columns)
        for first in range(0, S, BS):
            variable = first + tl.arange(0, BS)
            inside = there[:, None] & (variable < S)[None, :]
            hot = variable[None, :] * CLASSES + tl.load(index + kept[:, None] * S + variable[None, :], mask=inside, other=0)
            at = stoch_in + model * F * H + hot[:, :, None] * H + columns[None, None, :]
            acc += tl.sum(tl.load(at, mask=inside[:, :, None], other=0.0).to(tl.float32), 1)
    made = acc * tl.load(keep + kept, mask=there, other=0.0)[:, None] + bias[None, :]
    _to_norm(made, raw, handed, sums, kept, rows, there, 2 * H, half * H + columns, 2 * H // BN, block)


@triton.jit
def core(
    read_handed, read_sums, scale, deter, keep, action, core_state, core_deter, raw, handed, sums, STEPS, B, D: tl.constexpr,
    H: tl.constexpr, EACH: tl.constexpr, BM: tl.constexpr, BN: tl.constexpr, BH: tl.constexpr, BE: tl.constexpr,
    SPACE: tl.constexpr, PARTS: tl.constexpr, EPS: tl.constexpr, PRECISION: tl.constexpr,
):  # fmt: skip
    """The core's input [M, B, D]: the blocks' own, that of both norms, and the action's."""
    model, kept, rows, there = rows_of(STEPS, B, BM)
    block = tl.program_id(0)
    columns = block * BN + tl.arange(0, BN)
    start = block * BN // EACH * EACH
    acc = tl.zeros([BM, BN], tl.float32)
    weight = core_deter + (model * D + start) * EACH
    acc = product(acc, deter + start, rows, there, D, weight, EACH, columns - start, 1, EACH, BE, PARTS, PRECISION)
    acc = acc * tl.load(keep + kept, mask=there, other=0.0)[:, None] + load(action, kept, there, D, columns)
    for half in tl.static_range(2):
        rstd = tl.rsqrt(add_up(read_sums, rows * 2 + half, there, H // BN, SPACE) / H + EPS)
        x, own_scale, weight = read_handed + half * H, scale + (model * 2 + half) * H, core_state + model * D * 2 * H + half * H
        acc = _normed_product(
            acc, x, own_scale, rstd, rows, there, 2 * H, weight, 1, columns, 2 * H, H, BH, PARTS, PRECISION
        )  # fmt: skip
    _to_norm(acc, raw, handed, sums, kept, rows, there, D, columns, D // BN, block)


@triton.jit
def gate(
    core_handed, core_sums, scale, old, keep, gates, gates_bias, gated, candidates, deters, handed, OLD, STEPS, B,
    D: tl.constexpr, EACH: tl.constexpr, BM: tl.constexpr, BN: tl.constexpr, BE: tl.constexpr, SPACE: tl.constexpr,
    PARTS: tl.constexpr, EPS: tl.constexpr, PRECISION: tl.constexpr,
):  # fmt: skip
    """Gates [M, G, B, 3 * EACH], candidates [M, G, B, EACH] and the new state [M, B, D]."""
    model, kept, rows, there = rows_of(STEPS, B, BM)
    block = tl.program_id(0)
    columns = block * BN + tl.arange(0, BN)
    start = block * BN // EACH * EACH
    inside = columns - start
    bias = gates_bias + (model * D + start) * 3 + inside
    reset = tl.zeros([BM, BN], tl.float32) + tl.load(bias)[None, :]
    candidate = tl.zeros([BM, BN], tl.float32) + tl.load(bias + EACH)[None, :]
    update = tl.zeros([BM, BN], tl.float32) + tl.load(bias + 2 * EACH)[None, :]
    before = load(old, kept - model * (STEPS - OLD) * B, there, D, columns) * tl.load(keep + kept, mask=there, other=0.0)[:, None]
    rstd = tl.rsqrt(add_up(core_sums, rows, there, D // BN, SPACE) / D + EPS)
    for first in range(0, EACH, BE):
        terms = terms_of(first, BE, PARTS)
        x = _normed(core_handed + start, scale + model * D + start, rstd, rows, there, D, terms)
        weight = gates + (model * D + start) * 3 * EACH
        reset += dot(x, matrix(weight, terms, 3 * EACH, inside, 1), PRECISION)
        candidate += dot(x, matrix(weight + EACH, terms, 3 * EACH, inside, 1), PRECISION)
        update += dot(x, matrix(weight + 2 * EACH, terms, 3 * EACH, inside, 1), PRECISION)
    reset = tl.sigmoid(reset)
    update = tl.sigmoid(update - 1)
    made = 2 * tl.sigmoid(2 * reset * candidate) - 1  # tanh
    deter = before + update * (made - before)
    store(deters, kept, there, D, columns, deter)
    store(handed, rows, there, D, columns, deter.to(handed.dtype.element_ty))
    blocked = blocked_rows(kept, model, start // EACH, STEPS, B, D // EACH)
    store(candidates, blocked, there, EACH, inside, made)
    store(gated, blocked, there, 3 * EACH, inside, reset)
    store(gated, blocked, there, 3 * EACH, inside + EACH, candidate)
    store(gated, blocked, there, 3 * EACH, inside + 2 * EACH, update)


@triton.jit
def post(
    deter, weight, embed, raw, handed, sums, STEPS, B, D: tl.constexpr, H: tl.constexpr, BM: tl.constexpr, BN: tl.constexpr,
    BD: tl.constexpr, PARTS: tl.constexpr, PRECISION: tl.constexpr,
):  # fmt: skip
    """What the posterior reads [M, B, H]: the new state's product, and the embedding's."""
    model, kept, rows, there = rows_of(STEPS, B, BM)
    block = tl.program_id(0)
    columns = block * BN + tl.arange(0, BN)
    acc = load(embed, kept, there, H, columns)
    acc = product(acc, deter, rows, there, D, weight + model * H * D, 1, columns, D, D, BD, PARTS, PRECISION)
    _to_norm(acc, raw, handed, sums, kept, rows, there, H, columns, H // BN, block)


@triton.jit
def sample(
    post_handed, post_sums, scale, weight, bias, noise, soft, index, STEPS, B, F: tl.constexpr, H: tl.constexpr,
    CLASSES: tl.constexpr, BM: tl.constexpr, BN: tl.constexpr, BH: tl.constexpr, SHARES: tl.constexpr, SPACE: tl.constexpr,
    PARTS: tl.constexpr, EPS: tl.constexpr, UNIMIX: tl.constexpr, PRECISION: tl.constexpr,
):  # fmt: skip
    """The posterior's probabilities before the uniform mixture [M, B, F], and a sample's index of every variable [M, B, S]."""
    model, kept, rows, there = rows_of(STEPS, B, BM)
    block = tl.program_id(0)
    columns = block * BN + tl.arange(0, BN)
    race = tl.load(noise + kept[:, None] * F + columns[None, :], mask=there[:, None], other=1.0)
    acc = tl.zeros([BM, BN], tl.float32) + tl.load(bias + model * F + columns)[None, :]
    rstd = tl.rsqrt(add_up(post_sums, rows, there, SHARES, SPACE) / H + EPS)
    scale, weight = scale + model * H, weight + model * F * H
    acc = _normed_product(acc, post_handed, scale, rstd, rows, there, H, weight, 1, columns, H, H, BH, PARTS, PRECISION)
    logits = tl.reshape(acc, [BM, BN // CLASSES, CLASSES])
    shares = tl.exp(logits - tl.max(logits, 2, keep_dims=True))
    shares = shares / tl.sum(shares, 2, keep_dims=True)
    mixed = UNIMIX / CLASSES + (1 - UNIMIX) * shares
    best = tl.argmax(mixed / tl.reshape(race, [BM, BN // CLASSES, CLASSES]), 2)
    store(soft, kept, there, F, columns, tl.reshape(shares, [BM, BN]))
    store(index, kept, there, F // CLASSES, block * (BN // CLASSES) + tl.arange(0, BN // CLASSES), best.to(tl.int32))
