"""The recurrence of the scan as Triton kernels: five a step forward, five backward.

Starting a kernel takes a GPU longer than a step's arithmetic, and a step's rows are few. So each kernel makes some columns of one
product in every program, and each program begins by doing again, for all its rows, what lies between the product before and this
one. A norm's sum comes with the product that it is of, a share from every program. What all steps can do at once is not here.

A program has rows of one of M models. What is of every step is [M, STEPS, B, ...] or, by blocks, [M, G, STEPS, B, ...], pointers
to one step of it; what is handed on or carried is [M, B, ...]. Weights and what is handed on are in the precision of products, all
else in float32. Weights as in `ScanWeights`, but `stoch_in` of `read` [M, F, H].
B rows, D deter, H hidden, F = S * CLASSES flat latent, blocks of EACH = D / G. Tiles have BM rows, BN columns, and BD, BH, ... of
a sum's D, H, ... terms.
"""

# mypy: ignore-errors
# ruff: noqa: N803, PLR0913
import triton
import triton.language as tl


@triton.jit
def _rows(STEPS, B, BM: tl.constexpr):
    """(model, its rows [BM] in what is of every step and in what is not, whether they are there)."""
    blocks = tl.cdiv(B, BM)
    model = tl.program_id(1) // blocks
    row = tl.program_id(1) % blocks * BM + tl.arange(0, BM)
    return model, model * STEPS * B + row, model * B + row, row < B


@triton.jit
def _blocked(kept, model, block, STEPS, B, BLOCKS: tl.constexpr):
    """Rows `kept` of a model, in what is of every step and by blocks."""
    return kept + (model * (BLOCKS - 1) + block) * STEPS * B


@triton.jit
def _load(pointer, rows, there, stride, columns):
    """[BM, n] of rows of `stride` numbers; zero where there is no row."""
    return tl.load(pointer + rows[:, None] * stride + columns[None, :], mask=there[:, None], other=0.0)


@triton.jit
def _store(pointer, rows, there, stride, columns, values):
    tl.store(pointer + rows[:, None] * stride + columns[None, :], values, mask=there[:, None])


@triton.jit
def _terms(first, n: tl.constexpr, PARTS: tl.constexpr):
    """int [parts, n / parts], numbers of n terms of a sum that warps share."""
    parts: tl.constexpr = min(PARTS, n // 16)
    return first + tl.arange(0, parts)[:, None] * (n // parts) + tl.arange(0, n // parts)[None, :]


@triton.jit
def _wide(pointer, rows, there, stride, terms):
    """[parts, BM, n / parts] of rows of `stride` numbers; zero where there is no row."""
    return tl.load(pointer + rows[None, :, None] * stride + terms[:, None, :], mask=there[None, :, None], other=0.0)


@triton.jit
def _weight(pointer, terms, by_term, columns, by_column):
    """[parts, n / parts, BN] of a matrix with these strides."""
    return tl.load(pointer + terms[:, :, None] * by_term + columns[None, None, :] * by_column)


@triton.jit
def _dot(x, weight, PRECISION: tl.constexpr):
    """[BM, BN]: the parts of a sum side by side, one a warp, for one after another would take too long."""
    return tl.sum(tl.dot(x.to(weight.dtype), weight, input_precision=PRECISION), 0)


@triton.jit
def _add_up(sums, rows, there, SHARES: tl.constexpr, SPACE: tl.constexpr):
    """[BM] of shares [rows, SHARES] of a sum; SPACE is a power of two, at least as many."""
    at = tl.arange(0, SPACE)
    there = there[:, None] & (at < SHARES)[None, :]
    return tl.sum(tl.load(sums + rows[:, None] * SHARES + at[None, :], mask=there, other=0.0), 1)


@triton.jit
def _normed(handed, scale, rstd, rows, there, stride, terms):
    """SiLU of the norm of rows [parts, BM, n / parts]."""
    x = _wide(handed, rows, there, stride, terms).to(tl.float32) * rstd[None, :, None] * tl.load(scale + terms)[:, None, :]
    return x / (1 + tl.exp(-x))


@triton.jit
def _to_norm(made, raw, handed, sums, kept, rows, there, stride, columns, shares, share):
    """Store what a norm will read [BM, BN], and this program's share of its squares."""
    _store(raw, kept, there, stride, columns, made)
    _store(handed, rows, there, stride, columns, made.to(handed.dtype.element_ty))
    tl.store(sums + rows * shares + share, tl.sum(made * made, 1), mask=there)


@triton.jit
def _from_norm(made, given, handed, sums, slope, unit, kept, rows, there, stride, columns, shares, share):
    """Store the gradient by what a norm made [BM, BN], that by its rows over their size, and a share of what those have in common."""
    by_unit = made * _load(slope, kept, there, stride, columns)
    _store(given, kept, there, stride, columns, made)
    _store(handed, rows, there, stride, columns, by_unit.to(handed.dtype.element_ty))
    tl.store(sums + rows * shares + share, tl.sum(by_unit * _load(unit, kept, there, stride, columns), 1), mask=there)


@triton.jit
def read(
    deter, index, keep, deter_in, deter_bias, stoch_in, stoch_bias, raw, handed, sums, STEPS, B, D: tl.constexpr, F: tl.constexpr,
    H: tl.constexpr, S: tl.constexpr, CLASSES: tl.constexpr, BM: tl.constexpr, BN: tl.constexpr, BD: tl.constexpr,
    BS: tl.constexpr, PARTS: tl.constexpr, PRECISION: tl.constexpr,
):  # fmt: skip
    """Products of the state before, forgotten where `keep` is zero: raw [M, B, 2, H]; its latent is given by index [M, B, S]."""
    model, kept, rows, there = _rows(STEPS, B, BM)
    block = tl.program_id(0)
    half = block // (H // BN)
    columns = (block - half * (H // BN)) * BN + tl.arange(0, BN)
    acc = tl.zeros([BM, BN], tl.float32)
    if half == 0:
        bias = tl.load(deter_bias + model * H + columns)
        for first in range(0, D, BD):
            terms = _terms(first, BD, PARTS)
            weight = _weight(deter_in + model * H * D, terms, 1, columns, D)
            acc += _dot(_wide(deter, rows, there, D, terms), weight, PRECISION)
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
    model, kept, rows, there = _rows(STEPS, B, BM)
    block = tl.program_id(0)
    columns = block * BN + tl.arange(0, BN)
    start = block * BN // EACH * EACH
    acc = tl.zeros([BM, BN], tl.float32)
    for first in range(0, EACH, BE):
        terms = _terms(first, BE, PARTS)
        weight = _weight(core_deter + (model * D + start) * EACH, terms, EACH, columns - start, 1)
        acc += _dot(_wide(deter + start, rows, there, D, terms), weight, PRECISION)
    acc = acc * tl.load(keep + kept, mask=there, other=0.0)[:, None] + _load(action, kept, there, D, columns)
    for half in tl.static_range(2):
        rstd = tl.rsqrt(_add_up(read_sums, rows * 2 + half, there, H // BN, SPACE) / H + EPS)
        for first in range(0, H, BH):
            terms = half * H + _terms(first, BH, PARTS)
            x = _normed(read_handed, scale + model * 2 * H, rstd, rows, there, 2 * H, terms)
            acc += _dot(x, _weight(core_state + model * D * 2 * H, terms, 1, columns, 2 * H), PRECISION)
    _to_norm(acc, raw, handed, sums, kept, rows, there, D, columns, D // BN, block)


@triton.jit
def gate(
    core_handed, core_sums, scale, old, keep, gates, gates_bias, gated, candidates, deters, handed, OLD, STEPS, B, D: tl.constexpr,
    EACH: tl.constexpr, BM: tl.constexpr, BN: tl.constexpr, BE: tl.constexpr, SPACE: tl.constexpr, PARTS: tl.constexpr,
    EPS: tl.constexpr, PRECISION: tl.constexpr,
):  # fmt: skip
    """Gates [M, G, B, 3 * EACH], candidates [M, G, B, EACH] and the new state [M, B, D], of the core's norm and the state before."""
    model, kept, rows, there = _rows(STEPS, B, BM)
    block = tl.program_id(0)
    columns = block * BN + tl.arange(0, BN)
    start = block * BN // EACH * EACH
    inside = columns - start
    bias = gates_bias + (model * D + start) * 3 + inside
    reset = tl.zeros([BM, BN], tl.float32) + tl.load(bias)[None, :]
    candidate = tl.zeros([BM, BN], tl.float32) + tl.load(bias + EACH)[None, :]
    update = tl.zeros([BM, BN], tl.float32) + tl.load(bias + 2 * EACH)[None, :]
    before = (
        _load(old, kept - model * (STEPS - OLD) * B, there, D, columns) * tl.load(keep + kept, mask=there, other=0.0)[:, None]
    )
    rstd = tl.rsqrt(_add_up(core_sums, rows, there, D // BN, SPACE) / D + EPS)
    for first in range(0, EACH, BE):
        terms = _terms(first, BE, PARTS)
        x = _normed(core_handed + start, scale + model * D + start, rstd, rows, there, D, terms)
        weight = gates + (model * D + start) * 3 * EACH
        reset += _dot(x, _weight(weight, terms, 3 * EACH, inside, 1), PRECISION)
        candidate += _dot(x, _weight(weight + EACH, terms, 3 * EACH, inside, 1), PRECISION)
        update += _dot(x, _weight(weight + 2 * EACH, terms, 3 * EACH, inside, 1), PRECISION)
    reset = tl.sigmoid(reset)
    update = tl.sigmoid(update - 1)
    made = 2 * tl.sigmoid(2 * reset * candidate) - 1  # tanh
    deter = before + update * (made - before)
    _store(deters, kept, there, D, columns, deter)
    _store(handed, rows, there, D, columns, deter.to(handed.dtype.element_ty))
    blocked = _blocked(kept, model, start // EACH, STEPS, B, D // EACH)
    _store(candidates, blocked, there, EACH, inside, made)
    _store(gated, blocked, there, 3 * EACH, inside, reset)
    _store(gated, blocked, there, 3 * EACH, inside + EACH, candidate)
    _store(gated, blocked, there, 3 * EACH, inside + 2 * EACH, update)


@triton.jit
def post(
    deter, weight, embed, raw, handed, sums, STEPS, B, D: tl.constexpr, H: tl.constexpr, BM: tl.constexpr, BN: tl.constexpr,
    BD: tl.constexpr, PARTS: tl.constexpr, PRECISION: tl.constexpr,
):  # fmt: skip
    """What the posterior reads [M, B, H]: the new state's product, and the embedding's."""
    model, kept, rows, there = _rows(STEPS, B, BM)
    block = tl.program_id(0)
    columns = block * BN + tl.arange(0, BN)
    acc = _load(embed, kept, there, H, columns)
    for first in range(0, D, BD):
        terms = _terms(first, BD, PARTS)
        x = _wide(deter, rows, there, D, terms)
        acc += _dot(x, _weight(weight + model * H * D, terms, 1, columns, D), PRECISION)
    _to_norm(acc, raw, handed, sums, kept, rows, there, H, columns, H // BN, block)


@triton.jit
def sample(
    post_handed, post_sums, scale, weight, bias, noise, soft, index, STEPS, B, F: tl.constexpr, H: tl.constexpr, CLASSES: tl.constexpr,
    BM: tl.constexpr, BN: tl.constexpr, BH: tl.constexpr, SHARES: tl.constexpr, SPACE: tl.constexpr, PARTS: tl.constexpr,
    EPS: tl.constexpr, UNIMIX: tl.constexpr, PRECISION: tl.constexpr,
):  # fmt: skip
    """The posterior's probabilities before the uniform mixture [M, B, F], and a sample's index of every variable [M, B, S]."""
    model, kept, rows, there = _rows(STEPS, B, BM)
    block = tl.program_id(0)
    columns = block * BN + tl.arange(0, BN)
    race = tl.load(noise + kept[:, None] * F + columns[None, :], mask=there[:, None], other=1.0)
    acc = tl.zeros([BM, BN], tl.float32) + tl.load(bias + model * F + columns)[None, :]
    rstd = tl.rsqrt(_add_up(post_sums, rows, there, SHARES, SPACE) / H + EPS)
    for first in range(0, H, BH):
        terms = _terms(first, BH, PARTS)
        x = _normed(post_handed, scale + model * H, rstd, rows, there, H, terms)
        acc += _dot(x, _weight(weight + model * F * H, terms, 1, columns, H), PRECISION)
    logits = tl.reshape(acc, [BM, BN // CLASSES, CLASSES])
    shares = tl.exp(logits - tl.max(logits, 2, keep_dims=True))
    shares = shares / tl.sum(shares, 2, keep_dims=True)
    mixed = UNIMIX / CLASSES + (1 - UNIMIX) * shares
    best = tl.argmax(mixed / tl.reshape(race, [BM, BN // CLASSES, CLASSES]), 2)
    _store(soft, kept, there, F, columns, tl.reshape(shares, [BM, BN]))
    _store(index, kept, there, F // CLASSES, block * (BN // CLASSES) + tl.arange(0, BN // CLASSES), best.to(tl.int32))


@triton.jit
def sample_back(
    to_logits, weight, given, handed, sums, slope, unit, STEPS, B, F: tl.constexpr, H: tl.constexpr, BM: tl.constexpr, BN: tl.constexpr,
    BF: tl.constexpr, PARTS: tl.constexpr, PRECISION: tl.constexpr,
):  # fmt: skip
    """The gradient by what the posterior's norm made [M, B, H]."""
    model, kept, rows, there = _rows(STEPS, B, BM)
    block = tl.program_id(0)
    columns = block * BN + tl.arange(0, BN)
    acc = tl.zeros([BM, BN], tl.float32)
    for first in range(0, F, BF):
        terms = _terms(first, BF, PARTS)
        x = _wide(to_logits, rows, there, F, terms)
        acc += _dot(x, _weight(weight + model * F * H, terms, H, columns, 1), PRECISION)
    _from_norm(acc, given, handed, sums, slope, unit, kept, rows, there, H, columns, H // BN, block)


@triton.jit
def post_back(
    post_handed, post_sums, post_rstd, post_common, weight, own_deter, carried, by_gates, total, to_gates, STEPS, B,
    D: tl.constexpr, H: tl.constexpr, EACH: tl.constexpr, BM: tl.constexpr, BN: tl.constexpr, BH: tl.constexpr,
    SPACE: tl.constexpr, PARTS: tl.constexpr, PRECISION: tl.constexpr,
):  # fmt: skip
    """Gradients by the new state [M, B, D] and by its gates [M, G, B, 3, EACH].

    A norm's gradient is its rows' less what these have in common; the product of that, `common` [M, STEPS * B, ...], is known.
    """
    model, kept, rows, there = _rows(STEPS, B, BM)
    columns = tl.program_id(0) * BN + tl.arange(0, BN)
    acc = tl.zeros([BM, BN], tl.float32)
    for first in range(0, H, BH):
        terms = _terms(first, BH, PARTS)
        x = _wide(post_handed, rows, there, H, terms)
        acc += _dot(x, _weight(weight + model * H * D, terms, D, columns, 1), PRECISION)
    mean = _add_up(post_sums, rows, there, H // BN, SPACE) / H
    common = _load(post_common, kept, there, D, columns)
    acc = (acc - common * mean[:, None]) * tl.load(post_rstd + kept, mask=there, other=0.0)[:, None]
    acc += _load(own_deter, kept, there, D, columns) + _load(carried, rows, there, D, columns)
    _store(total, rows, there, D, columns, acc)
    start = tl.program_id(0) * BN // EACH
    blocked = _blocked(kept, model, start, STEPS, B, D // EACH)
    for part in tl.static_range(3):
        at = part * EACH + columns - start * EACH
        _store(to_gates, blocked, there, 3 * EACH, at, acc * _load(by_gates, blocked, there, 3 * EACH, at))


@triton.jit
def gate_back(
    to_gates, gates, given, handed, sums, slope, unit, STEPS, B, D: tl.constexpr, EACH: tl.constexpr, BM: tl.constexpr,
    BN: tl.constexpr, BG: tl.constexpr, PARTS: tl.constexpr, PRECISION: tl.constexpr,
):  # fmt: skip
    """The gradient by what the core's norm made [M, B, D]."""
    model, kept, rows, there = _rows(STEPS, B, BM)
    block = tl.program_id(0)
    columns = block * BN + tl.arange(0, BN)
    blocked = _blocked(kept, model, block * BN // EACH, STEPS, B, D // EACH)
    acc = tl.zeros([BM, BN], tl.float32)
    for first in range(0, 3 * EACH, BG):
        terms = _terms(first, BG, PARTS)
        x = _wide(to_gates, blocked, there, 3 * EACH, terms)
        acc += _dot(x, _weight(gates + model * D * 3 * EACH, terms, 1, columns, 3 * EACH), PRECISION)
    _from_norm(acc, given, handed, sums, slope, unit, kept, rows, there, D, columns, D // BN, block)


@triton.jit
def core_back(
    core_handed, core_sums, core_rstd, state_common, deter_common, core_state, core_deter, total, by_old, old, given, handed, sums,
    slope, unit, STEPS, B, D: tl.constexpr, H: tl.constexpr, EACH: tl.constexpr, BM: tl.constexpr, BN: tl.constexpr,
    BD: tl.constexpr, BE: tl.constexpr, SPACE: tl.constexpr, PARTS: tl.constexpr, PRECISION: tl.constexpr,
):  # fmt: skip
    """Gradients by what both norms made [M, B, 2, H], and by the state before as far as it skips them [M, B, D]."""
    model, kept, rows, there = _rows(STEPS, B, BM)
    block = tl.program_id(0)
    rstd = tl.load(core_rstd + kept, mask=there, other=0.0)[:, None]
    mean = (_add_up(core_sums, rows, there, D // BN, SPACE) / D)[:, None]
    acc = tl.zeros([BM, BN], tl.float32)
    if block < 2 * H // BN:
        columns = block * BN + tl.arange(0, BN)
        for first in range(0, D, BD):
            terms = _terms(first, BD, PARTS)
            x = _wide(core_handed, rows, there, D, terms)
            acc += _dot(x, _weight(core_state + model * D * 2 * H, terms, 2 * H, columns, 1), PRECISION)
        acc = (acc - _load(state_common, kept, there, 2 * H, columns) * mean) * rstd
        _from_norm(acc, given, handed, sums, slope, unit, kept, rows, there, 2 * H, columns, 2 * H // BN, block)
    else:
        block -= 2 * H // BN
        columns = block * BN + tl.arange(0, BN)
        start = block * BN // EACH
        for first in range(0, EACH, BE):
            terms = _terms(first, BE, PARTS)
            x = _wide(core_handed + start * EACH, rows, there, D, terms)
            acc += _dot(x, _weight(core_deter + model * D * EACH, terms, 1, columns, EACH), PRECISION)
        blocked = _blocked(kept, model, start, STEPS, B, D // EACH)
        common = _load(deter_common, blocked, there, EACH, columns - start * EACH)
        skips = _load(by_old, blocked, there, EACH, columns - start * EACH) * _load(total, rows, there, D, columns)
        _store(old, rows, there, D, columns, (acc - common * mean) * rstd + skips)


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
    model, kept, rows, there = _rows(STEPS, B, BM)
    goes_on = tl.load(keep + kept, mask=there, other=0.0)[:, None]
    block = tl.program_id(0)
    if block < D // BN:
        columns = block * BN + tl.arange(0, BN)
        rstd = tl.load(read_rstd + kept * 2, mask=there, other=0.0)[:, None]
        mean = (_add_up(read_sums, rows * 2, there, H // BN, SPACE) / H)[:, None]
        acc = tl.zeros([BM, BN], tl.float32)
        for first in range(0, H, BH):
            terms = _terms(first, BH, PARTS)
            x = _wide(read_handed, rows, there, 2 * H, terms)
            acc += _dot(x, _weight(deter_in + model * H * D, terms, D, columns, 1), PRECISION)
        acc = (acc - _load(deter_common, kept, there, D, columns) * mean) * rstd
        _store(to_deter, rows, there, D, columns, (acc + _load(old, rows, there, D, columns)) * goes_on)
    else:
        logits = (block - D // BN) * BW + tl.arange(0, BW)
        rstd = tl.load(read_rstd + kept * 2 + 1, mask=there, other=0.0)[:, None]
        mean = (_add_up(read_sums, rows * 2 + 1, there, H // BN, SPACE) / H)[:, None]
        latent = tl.zeros([BM, BW], tl.float32)
        for first in range(0, H, BH):
            terms = _terms(first, BH, PARTS)
            x = _wide(read_handed + H, rows, there, 2 * H, terms)
            latent += _dot(x, _weight(stoch_in + model * H * F, terms, F, logits, 1), PRECISION)
        latent = (latent - _load(stoch_common, kept, there, F, logits) * mean) * rstd * goes_on
        if LAST:
            _store(to_stoch, rows, there, F, logits, latent)
        else:
            share = _load(soft, kept, there, F, logits)
            x = (latent + _load(own_prob, kept, there, F, logits)) * share
            whole = tl.sum(tl.reshape(x, [BM, BW // CLASSES, CLASSES]), 2, keep_dims=True)
            whole = tl.reshape(tl.broadcast_to(whole, [BM, BW // CLASSES, CLASSES]), [BM, BW])
            x = (x - share * whole) * (1 - UNIMIX)
            _store(to_logits, kept, there, F, logits, x)
            _store(handed, rows, there, F, logits, x.to(handed.dtype.element_ty))
