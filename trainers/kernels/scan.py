"""The scan's steps as Triton kernels: five forward and five backward, for they, not the arithmetic, are what a GPU waits for.

A step's rows are few, so each kernel makes a few columns of one product in every program, and every program begins by doing again,
for all its rows, what lies between the product before and this one: a norm is a few hundred numbers a row, and reading them from a
kernel of its own would take as long as a product. A norm's sum comes with the product that it is of, a share from every program.

Rows [M, B, ...] are of M models; a program has rows of one model. Layouts are those of `trainers.worldmodel.scan_types`, each of
one step, weights' as in `ScanWeights`. M models, B rows, D deter, H hidden, F = S * K flat latent, blocks of EACH = D / G. Tiles
have BM rows and BN columns, and BD, BH, ... of a sum's D, H, ... terms.
"""

# mypy: ignore-errors
# ruff: noqa: N803, PLR0913
import triton
import triton.language as tl


@triton.jit
def _rows(B, BM: tl.constexpr):
    """(model, rows among all models' [BM], whether they are there)."""
    blocks = tl.cdiv(B, BM)
    model = tl.program_id(1) // blocks
    row = tl.program_id(1) % blocks * BM + tl.arange(0, BM)
    return model, model * B + row, row < B


@triton.jit
def _load(pointer, rows, there, stride, columns):
    """[BM, n] of rows of `stride` numbers; zero where there is no row."""
    return tl.load(pointer + rows[:, None] * stride + columns[None, :], mask=there[:, None], other=0.0)


@triton.jit
def _store(pointer, rows, there, stride, columns, values):
    tl.store(pointer + rows[:, None] * stride + columns[None, :], values, mask=there[:, None])


@triton.jit
def _terms(first, n: tl.constexpr, parts: tl.constexpr):
    """int [parts, n / parts], numbers of n terms of a sum that `parts` warps share."""
    each: tl.constexpr = n // parts
    return first + tl.arange(0, parts)[:, None] * each + tl.arange(0, each)[None, :]


@triton.jit
def _wide(pointer, rows, there, stride, terms):
    """[parts, BM, n / parts] of rows of `stride` numbers; zero where there is no row."""
    return tl.load(pointer + rows[None, :, None] * stride + terms[:, None, :], mask=there[None, :, None], other=0.0)


@triton.jit
def _share(pointer, rows, there, stride, terms, values, block, blocks):
    """Store what this program is to store of rows that all `blocks` programs have made: some terms of every so many."""
    own = terms // 16 % blocks == block
    at = pointer + rows[None, :, None] * stride + terms[:, None, :]
    tl.store(at, values, mask=there[None, :, None] & own[:, None, :])


@triton.jit
def _weight(pointer, terms, by_term, columns, by_column):
    """[parts, n / parts, BN] of a matrix with these strides."""
    return tl.load(pointer + terms[:, :, None] * by_term + columns[None, None, :] * by_column)


@triton.jit
def _dot(x, weight, PRECISION: tl.constexpr):
    """[BM, BN]: the parts of a sum side by side, one a warp, for one after another would take too long."""
    return tl.sum(tl.dot(x, weight, input_precision=PRECISION), 0)


@triton.jit
def _add_up(sums, rows, there, SHARES: tl.constexpr, SPACE: tl.constexpr):
    """[BM] of shares [rows, SHARES] of a sum; SPACE is a power of two, at least as many."""
    at = tl.arange(0, SPACE)
    there = there[:, None] & (at < SHARES)[None, :]
    return tl.sum(tl.load(sums + rows[:, None] * SHARES + at[None, :], mask=there, other=0.0), 1)


@triton.jit
def _silu(x):
    return x / (1 + tl.exp(-x))


@triton.jit
def _keep_norm(raw, scale, unit, out, rstd, rows, there, columns, SIZE: tl.constexpr):
    """Store this program's columns of what a norm makes of rows of SIZE numbers; rstd [BM, 1] or [BM, columns]."""
    inside = there[:, None] & (columns < SIZE)[None, :]
    at = rows[:, None] * SIZE + columns[None, :]
    own = tl.load(raw + at, mask=inside, other=0.0) * rstd
    tl.store(unit + at, own, mask=inside)
    scaled = own * tl.load(scale + columns, mask=columns < SIZE, other=0.0)[None, :]
    tl.store(out + at, _silu(scaled), mask=inside)


@triton.jit
def _passed(grad, unit, rows, there, stride, terms, mean, rstd):
    """A norm's gradient by what it read, of its gradient by `unit`."""
    own = _wide(unit, rows, there, stride, terms)
    return (_wide(grad, rows, there, stride, terms) - own * mean[None, :, None]) * rstd[None, :, None]


@triton.jit
def _hand_on(made, given, grad, sums, slope, unit, rows, there, stride, columns, shares, share):
    """Store a gradient by what a norm made, [BM, BN]: as it is, by `unit`, and a share of what every number's is less."""
    by_unit = made * _load(slope, rows, there, stride, columns)
    _store(given, rows, there, stride, columns, made)
    _store(grad, rows, there, stride, columns, by_unit)
    tl.store(sums + rows * shares + share, tl.sum(by_unit * _load(unit, rows, there, stride, columns), 1), mask=there)


@triton.jit
def _kept_product(
    state, keep, old, weight, bias, raw, sums, B, block, half, SIZE: tl.constexpr, H: tl.constexpr, BM: tl.constexpr,
    BN: tl.constexpr, BK: tl.constexpr, PARTS: tl.constexpr, PRECISION: tl.constexpr,
):  # fmt: skip
    model, rows, there = _rows(B, BM)
    columns = block * BN + tl.arange(0, BN)
    kept = tl.load(keep + rows, mask=there, other=0.0)
    acc = tl.zeros([BM, BN], tl.float32) + tl.load(bias + model * H + columns)[None, :]
    for first in range(0, SIZE, BK):
        terms = _terms(first, BK, min(PARTS, BK // 16))
        x = _wide(state, rows, there, SIZE, terms) * kept[None, :, None]
        _share(old, rows, there, SIZE, terms, x, block, H // BN)
        acc += _dot(x, _weight(weight + model * H * SIZE, terms, 1, columns, SIZE), PRECISION)
    _store(raw, rows, there, 2 * H, half * H + columns, acc)
    tl.store(sums + (rows * 2 + half) * (H // BN) + block, tl.sum(acc * acc, 1), mask=there)


@triton.jit
def read(
    deter, stoch, keep, old_deter, old_stoch, deter_in, deter_bias, stoch_in, stoch_bias, raw, sums, B, D: tl.constexpr,
    F: tl.constexpr, H: tl.constexpr, BM: tl.constexpr, BN: tl.constexpr, BD: tl.constexpr, BF: tl.constexpr,
    PARTS: tl.constexpr, PRECISION: tl.constexpr,
):  # fmt: skip
    """The state before, forgotten where `keep` is zero, and both products of it: raw [M, B, 2, H], sums [M, B, 2, H / BN]."""
    block = tl.program_id(0)
    if block < H // BN:
        _kept_product(deter, keep, old_deter, deter_in, deter_bias, raw, sums, B, block, 0, D, H, BM, BN, BD, PARTS, PRECISION)
    else:
        block -= H // BN
        _kept_product(stoch, keep, old_stoch, stoch_in, stoch_bias, raw, sums, B, block, 1, F, H, BM, BN, BF, PARTS, PRECISION)


@triton.jit
def core(
    raw, read_sums, scale, unit, rstd_out, out, old_deter, action, core_state, core_deter, made, sums, B, D: tl.constexpr,
    H: tl.constexpr, EACH: tl.constexpr, BM: tl.constexpr, BN: tl.constexpr, BH: tl.constexpr, BE: tl.constexpr,
    OWN: tl.constexpr, SPACE: tl.constexpr, PARTS: tl.constexpr, EPS: tl.constexpr, PRECISION: tl.constexpr,
):  # fmt: skip
    """Norms of both products, and the core's input [M, B, D]: theirs, the blocks' own and the action's; sums [M, B, D / BN]."""
    model, rows, there = _rows(B, BM)
    block = tl.program_id(0)
    columns = block * BN + tl.arange(0, BN)
    acc = _load(action, rows, there, D, columns)
    start = block * BN // EACH * EACH
    for first in range(0, EACH, BE):
        terms = _terms(first, BE, min(PARTS, BE // 16))
        x = _wide(old_deter + start, rows, there, D, terms)
        acc += _dot(x, _weight(core_deter + (model * D + start) * EACH, terms, EACH, columns - start, 1), PRECISION)
    of_deter = tl.rsqrt(_add_up(read_sums, rows * 2, there, H // BN, SPACE) / H + EPS)
    of_stoch = tl.rsqrt(_add_up(read_sums, rows * 2 + 1, there, H // BN, SPACE) / H + EPS)
    if block == 0:
        tl.store(rstd_out + rows * 2, of_deter, mask=there)
        tl.store(rstd_out + rows * 2 + 1, of_stoch, mask=there)
    own = block * OWN + tl.arange(0, OWN)
    rstd = tl.where((own < H)[None, :], of_deter[:, None], of_stoch[:, None])
    _keep_norm(raw, scale + model * 2 * H, unit, out, rstd, rows, there, own, 2 * H)
    for half in tl.static_range(2):
        rstd = of_deter if half == 0 else of_stoch
        for first in range(0, H, BH):
            terms = half * H + _terms(first, BH, min(PARTS, BH // 16))
            x = _wide(raw, rows, there, 2 * H, terms) * rstd[None, :, None]
            x = _silu(x * tl.load(scale + model * 2 * H + terms)[:, None, :])
            acc += _dot(x, _weight(core_state + model * D * 2 * H, terms, 1, columns, 2 * H), PRECISION)
    _store(made, rows, there, D, columns, acc)
    tl.store(sums + rows * (D // BN) + block, tl.sum(acc * acc, 1), mask=there)


@triton.jit
def gate(
    raw, core_sums, scale, unit, rstd_out, out, old_deter, gates, gates_bias, gated, candidates, deters, B, D: tl.constexpr,
    EACH: tl.constexpr, BM: tl.constexpr, BN: tl.constexpr, BE: tl.constexpr, SPACE: tl.constexpr, PARTS: tl.constexpr,
    EPS: tl.constexpr, PRECISION: tl.constexpr,
):  # fmt: skip
    """The core's norm, gates [M, G, B, 3 * EACH], candidates [M, G, B, EACH] and the new state [M, B, D]."""
    model, rows, there = _rows(B, BM)
    block = tl.program_id(0)
    columns = block * BN + tl.arange(0, BN)
    start = block * BN // EACH * EACH
    inside = columns - start
    bias = gates_bias + (model * D + start) * 3 + inside
    reset = tl.zeros([BM, BN], tl.float32) + tl.load(bias)[None, :]
    candidate = tl.zeros([BM, BN], tl.float32) + tl.load(bias + EACH)[None, :]
    update = tl.zeros([BM, BN], tl.float32) + tl.load(bias + 2 * EACH)[None, :]
    rstd = tl.rsqrt(_add_up(core_sums, rows, there, D // BN, SPACE) / D + EPS)
    if block == 0:
        tl.store(rstd_out + rows, rstd, mask=there)
    for first in range(0, EACH, BE):
        terms = _terms(first, BE, min(PARTS, BE // 16))
        x = _wide(raw + start, rows, there, D, terms) * rstd[None, :, None]
        x = _silu(x * tl.load(scale + model * D + start + terms)[:, None, :])
        weight = gates + (model * D + start) * 3 * EACH
        reset += _dot(x, _weight(weight, terms, 3 * EACH, inside, 1), PRECISION)
        candidate += _dot(x, _weight(weight + EACH, terms, 3 * EACH, inside, 1), PRECISION)
        update += _dot(x, _weight(weight + 2 * EACH, terms, 3 * EACH, inside, 1), PRECISION)
    _keep_norm(raw, scale + model * D, unit, out, rstd[:, None], rows, there, columns, D)
    reset = tl.sigmoid(reset)
    update = tl.sigmoid(update - 1)
    made = 2 * tl.sigmoid(2 * reset * candidate) - 1  # tanh
    old = _load(old_deter, rows, there, D, columns)
    _store(deters, rows, there, D, columns, old + update * (made - old))
    blocked = (model * (D // EACH) + start // EACH) * B + (rows - model * B)
    _store(candidates, blocked, there, EACH, inside, made)
    _store(gated, blocked, there, 3 * EACH, inside, reset)
    _store(gated, blocked, there, 3 * EACH, inside + EACH, candidate)
    _store(gated, blocked, there, 3 * EACH, inside + 2 * EACH, update)


@triton.jit
def post(
    deters, weight, embed, raw, sums, B, D: tl.constexpr, H: tl.constexpr, BM: tl.constexpr, BN: tl.constexpr, BD: tl.constexpr,
    PARTS: tl.constexpr, PRECISION: tl.constexpr,
):  # fmt: skip
    """What the posterior reads [M, B, H]: the new state's product, and the embedding's; sums [M, B, H / BN]."""
    model, rows, there = _rows(B, BM)
    block = tl.program_id(0)
    columns = block * BN + tl.arange(0, BN)
    acc = _load(embed, rows, there, H, columns)
    for first in range(0, D, BD):
        terms = _terms(first, BD, min(PARTS, BD // 16))
        x = _wide(deters, rows, there, D, terms)
        acc += _dot(x, _weight(weight + model * H * D, terms, 1, columns, D), PRECISION)
    _store(raw, rows, there, H, columns, acc)
    tl.store(sums + rows * (H // BN) + block, tl.sum(acc * acc, 1), mask=there)


@triton.jit
def sample(
    raw, post_sums, scale, unit, rstd_out, out, weight, bias, noise, soft, probs, latents, B, F: tl.constexpr, H: tl.constexpr,
    CLASSES: tl.constexpr, BM: tl.constexpr, BN: tl.constexpr, BH: tl.constexpr, OWN: tl.constexpr, SHARES: tl.constexpr,
    SPACE: tl.constexpr, PARTS: tl.constexpr, EPS: tl.constexpr, UNIMIX: tl.constexpr, PRECISION: tl.constexpr,
):  # fmt: skip
    """The posterior's norm, its probabilities before and after the uniform mixture, and a sample [M, B, F]."""
    model, rows, there = _rows(B, BM)
    block = tl.program_id(0)
    columns = block * BN + tl.arange(0, BN)
    race = tl.load(noise + rows[:, None] * F + columns[None, :], mask=there[:, None], other=1.0)
    acc = tl.zeros([BM, BN], tl.float32) + tl.load(bias + model * F + columns)[None, :]
    rstd = tl.rsqrt(_add_up(post_sums, rows, there, SHARES, SPACE) / H + EPS)
    if block == 0:
        tl.store(rstd_out + rows, rstd, mask=there)
    own = block * OWN + tl.arange(0, OWN)
    _keep_norm(raw, scale + model * H, unit, out, rstd[:, None], rows, there, own, H)
    for first in range(0, H, BH):
        terms = _terms(first, BH, min(PARTS, BH // 16))
        x = _wide(raw, rows, there, H, terms) * rstd[None, :, None]
        x = _silu(x * tl.load(scale + model * H + terms)[:, None, :])
        acc += _dot(x, _weight(weight + model * F * H, terms, 1, columns, H), PRECISION)
    logits = tl.reshape(acc, [BM, BN // CLASSES, CLASSES])
    shares = tl.exp(logits - tl.max(logits, 2, keep_dims=True))
    shares = shares / tl.sum(shares, 2, keep_dims=True)
    prob = UNIMIX / CLASSES + (1 - UNIMIX) * shares
    best = tl.argmax(prob / tl.reshape(race, [BM, BN // CLASSES, CLASSES]), 2, keep_dims=True)
    hot = (tl.arange(0, CLASSES)[None, None, :] == best).to(tl.float32)
    _store(soft, rows, there, F, columns, tl.reshape(shares, [BM, BN]))
    _store(probs, rows, there, F, columns, tl.reshape(prob, [BM, BN]))
    _store(latents, rows, there, F, columns, tl.reshape(hot, [BM, BN]))


@triton.jit
def sample_back(
    carried, own_prob, soft, weight, to_logits, given, grad, sums, slope, unit, B, F: tl.constexpr, H: tl.constexpr,
    CLASSES: tl.constexpr, BM: tl.constexpr, BN: tl.constexpr, BF: tl.constexpr, PARTS: tl.constexpr, UNIMIX: tl.constexpr,
    PRECISION: tl.constexpr,
):  # fmt: skip
    """Gradients by the posterior's logits [M, B, F] and by its norm's output [M, B, H]."""
    model, rows, there = _rows(B, BM)
    block = tl.program_id(0)
    columns = block * BN + tl.arange(0, BN)
    acc = tl.zeros([BM, BN], tl.float32)
    for first in range(0, F, BF):
        parts: tl.constexpr = min(PARTS, BF // max(CLASSES, 16))
        terms = _terms(first, BF, parts)
        share = _wide(soft, rows, there, F, terms)
        x = (_wide(carried, rows, there, F, terms) + _wide(own_prob, rows, there, F, terms)) * share
        total = tl.sum(tl.reshape(x, [parts, BM, BF // parts // CLASSES, CLASSES]), 3, keep_dims=True)
        total = tl.broadcast_to(total, [parts, BM, BF // parts // CLASSES, CLASSES])
        x = (x - share * tl.reshape(total, [parts, BM, BF // parts])) * (1 - UNIMIX)
        _share(to_logits, rows, there, F, terms, x, block, H // BN)
        acc += _dot(x, _weight(weight + model * F * H, terms, H, columns, 1), PRECISION)
    _hand_on(acc, given, grad, sums, slope, unit, rows, there, H, columns, H // BN, block)


@triton.jit
def post_back(
    post_grad, post_sums, post_unit, rstd_in, weight, own_deter, carried, by_gates, passed, total, to_gates, B, D: tl.constexpr,
    H: tl.constexpr, EACH: tl.constexpr, BM: tl.constexpr, BN: tl.constexpr, BH: tl.constexpr, SPACE: tl.constexpr,
    PARTS: tl.constexpr, PRECISION: tl.constexpr,
):  # fmt: skip
    """Gradients by the posterior's input [M, B, H], by the new state [M, B, D] and by its gates [M, G, B, 3, EACH]."""
    model, rows, there = _rows(B, BM)
    block = tl.program_id(0)
    columns = block * BN + tl.arange(0, BN)
    acc = _load(own_deter, rows, there, D, columns) + _load(carried, rows, there, D, columns)
    rstd = tl.load(rstd_in + rows, mask=there, other=0.0)
    mean = _add_up(post_sums, rows, there, H // BN, SPACE) / H
    for first in range(0, H, BH):
        terms = _terms(first, BH, min(PARTS, BH // 16))
        x = _passed(post_grad, post_unit, rows, there, H, terms, mean, rstd)
        _share(passed, rows, there, H, terms, x, block, D // BN)
        acc += _dot(x, _weight(weight + model * H * D, terms, D, columns, 1), PRECISION)
    _store(total, rows, there, D, columns, acc)
    start = block * BN // EACH
    blocked = (model * (D // EACH) + start) * B + (rows - model * B)
    for part in tl.static_range(3):
        at = part * EACH + columns - start * EACH
        _store(to_gates, blocked, there, 3 * EACH, at, acc * _load(by_gates, blocked, there, 3 * EACH, at))


@triton.jit
def gate_back(
    to_gates, gates, given, grad, sums, slope, unit, B, D: tl.constexpr, EACH: tl.constexpr, BM: tl.constexpr, BN: tl.constexpr,
    BE: tl.constexpr, PARTS: tl.constexpr, PRECISION: tl.constexpr,
):  # fmt: skip
    """The gradient by the core norm's output [M, B, D]."""
    model, rows, there = _rows(B, BM)
    block = tl.program_id(0)
    columns = block * BN + tl.arange(0, BN)
    start = block * BN // EACH
    blocked = (model * (D // EACH) + start) * B + (rows - model * B)
    acc = tl.zeros([BM, BN], tl.float32)
    for first in range(0, 3 * EACH, BE):
        terms = _terms(first, BE, min(PARTS, BE // 16))
        x = _wide(to_gates, blocked, there, 3 * EACH, terms)
        acc += _dot(x, _weight(gates + model * D * 3 * EACH, terms, 1, columns, 3 * EACH), PRECISION)
    _hand_on(acc, given, grad, sums, slope, unit, rows, there, D, columns, D // BN, block)


@triton.jit
def core_back(
    core_grad, core_sums, core_unit, rstd_in, core_state, core_deter, total, by_old, passed, old, given, grad, sums, slope, unit,
    B, D: tl.constexpr, H: tl.constexpr, EACH: tl.constexpr, BM: tl.constexpr, BN: tl.constexpr, BD: tl.constexpr,
    BE: tl.constexpr, SPACE: tl.constexpr, PARTS: tl.constexpr, PRECISION: tl.constexpr,
):  # fmt: skip
    """Gradients by the core's input [M, B, D], by both norms' outputs [M, B, 2, H], and by the state before that skips them."""
    model, rows, there = _rows(B, BM)
    block = tl.program_id(0)
    rstd = tl.load(rstd_in + rows, mask=there, other=0.0)
    mean = _add_up(core_sums, rows, there, D // BN, SPACE) / D
    acc = tl.zeros([BM, BN], tl.float32)
    if block < 2 * H // BN:
        columns = block * BN + tl.arange(0, BN)
        for first in range(0, D, BD):
            terms = _terms(first, BD, min(PARTS, BD // 16))
            x = _passed(core_grad, core_unit, rows, there, D, terms, mean, rstd)
            _share(passed, rows, there, D, terms, x, block, 2 * H // BN)
            acc += _dot(x, _weight(core_state + model * D * 2 * H, terms, 2 * H, columns, 1), PRECISION)
        _hand_on(acc, given, grad, sums, slope, unit, rows, there, 2 * H, columns, 2 * H // BN, block)
    else:
        columns = (block - 2 * H // BN) * BN + tl.arange(0, BN)
        start = (block - 2 * H // BN) * BN // EACH
        for first in range(0, EACH, BE):
            terms = _terms(first, BE, min(PARTS, BE // 16))
            x = _passed(core_grad + start * EACH, core_unit + start * EACH, rows, there, D, terms, mean, rstd)
            acc += _dot(x, _weight(core_deter + model * D * EACH, terms, 1, columns, EACH), PRECISION)
        blocked = (model * (D // EACH) + start) * B + (rows - model * B)
        skips = _load(by_old, blocked, there, EACH, columns - start * EACH)
        _store(old, rows, there, D, columns, acc + skips * _load(total, rows, there, D, columns))


@triton.jit
def _half_back(
    acc, grad, sums, unit, rstd_in, weight, kept, passed, made, rows, there, model, block, half, SIZE: tl.constexpr,
    H: tl.constexpr, BN: tl.constexpr, BH: tl.constexpr, SPACE: tl.constexpr, PARTS: tl.constexpr, PRECISION: tl.constexpr,
):  # fmt: skip
    columns = block * BN + tl.arange(0, BN)
    rstd = tl.load(rstd_in + rows * 2 + half, mask=there, other=0.0)
    mean = _add_up(sums, rows * 2 + half, there, H // BN, SPACE) / H
    for first in range(0, H, BH):
        terms = _terms(first, BH, min(PARTS, BH // 16))
        x = _passed(grad + half * H, unit + half * H, rows, there, 2 * H, terms, mean, rstd)
        _share(passed + half * H, rows, there, 2 * H, terms, x, block, SIZE // BN)
        acc += _dot(x, _weight(weight + model * H * SIZE, terms, SIZE, columns, 1), PRECISION)
    _store(made, rows, there, SIZE, columns, acc * kept)


@triton.jit
def read_back(
    grad, sums, unit, rstd_in, deter_in, stoch_in, old, keep, passed, to_deter, to_stoch, B, D: tl.constexpr, F: tl.constexpr,
    H: tl.constexpr, BM: tl.constexpr, BN: tl.constexpr, BH: tl.constexpr, SPACE: tl.constexpr, PARTS: tl.constexpr,
    PRECISION: tl.constexpr,
):  # fmt: skip
    """Gradients by both products [M, B, 2, H], and by the state before: [M, B, D] and [M, B, F]."""
    model, rows, there = _rows(B, BM)
    kept = tl.load(keep + rows, mask=there, other=0.0)[:, None]
    block = tl.program_id(0)
    if block < D // BN:
        acc = _load(old, rows, there, D, block * BN + tl.arange(0, BN))
        _half_back(
            acc, grad, sums, unit, rstd_in, deter_in, kept, passed, to_deter, rows, there, model, block, 0, D, H, BN, BH, SPACE,
            PARTS, PRECISION,
        )  # fmt: skip
    else:
        acc = tl.zeros([BM, BN], tl.float32)
        _half_back(
            acc, grad, sums, unit, rstd_in, stoch_in, kept, passed, to_stoch, rows, there, model, block - D // BN, 1, F, H, BN,
            BH, SPACE, PARTS, PRECISION,
        )  # fmt: skip
