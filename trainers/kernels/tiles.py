"""Tiles of rows and of matrices, as the kernels of a scan read, multiply and write them.

A program has rows of one of M models. What is of every step is [M, STEPS, B, ...] or, by blocks, [M, G, STEPS, B, ...]; what is
handed on from kernel to kernel is [M, B, ...]. Tiles have BM rows and BN columns.
"""

# mypy: ignore-errors
import triton
import triton.language as tl


@triton.jit
def rows_of(STEPS, B, BM: tl.constexpr):
    """(model, its rows [BM] in what is of every step and in what is not, whether they are there)."""
    blocks = tl.cdiv(B, BM)
    model = tl.program_id(1) // blocks
    row = tl.program_id(1) % blocks * BM + tl.arange(0, BM)
    return model, model * STEPS * B + row, model * B + row, row < B


@triton.jit
def blocked_rows(kept, model, block, STEPS, B, BLOCKS: tl.constexpr):
    """Rows `kept` of a model, in what is of every step and by blocks."""
    return kept + (model * (BLOCKS - 1) + block) * STEPS * B


@triton.jit
def load(pointer, rows, there, stride, columns):
    """[BM, n] of rows of `stride` numbers; zero where there is no row."""
    return tl.load(pointer + rows[:, None] * stride + columns[None, :], mask=there[:, None], other=0.0)


@triton.jit
def store(pointer, rows, there, stride, columns, values):
    tl.store(pointer + rows[:, None] * stride + columns[None, :], values, mask=there[:, None])


@triton.jit
def terms_of(first, n: tl.constexpr, PARTS: tl.constexpr):
    """int [parts, n / parts], numbers of n terms of a sum that warps share."""
    parts: tl.constexpr = min(PARTS, n // 16)
    return first + tl.arange(0, parts)[:, None] * (n // parts) + tl.arange(0, n // parts)[None, :]


@triton.jit
def wide(pointer, rows, there, stride, terms):
    """[parts, BM, n / parts] of rows of `stride` numbers; zero where there is no row."""
    return tl.load(pointer + rows[None, :, None] * stride + terms[:, None, :], mask=there[None, :, None], other=0.0)


@triton.jit
def matrix(pointer, terms, by_term, columns, by_column):
    """[parts, n / parts, BN] of a matrix with these strides."""
    return tl.load(pointer + terms[:, :, None] * by_term + columns[None, None, :] * by_column)


@triton.jit
def dot(x, weight, PRECISION: tl.constexpr):
    """[BM, BN]: the parts of a sum side by side, one a warp, for one after another would take too long."""
    return tl.sum(tl.dot(x.to(weight.dtype), weight, input_precision=PRECISION), 0)


@triton.jit
def product(
    made, x, rows, there, stride, weight, by_term, columns, by_column, SIZE: tl.constexpr, TILE: tl.constexpr,
    PARTS: tl.constexpr, PRECISION: tl.constexpr,
):  # fmt: skip
    """`made` [BM, BN] and the product of rows x, SIZE terms of them, TILE at a time, with a matrix of these strides."""
    for first in range(0, SIZE, TILE):
        terms = terms_of(first, TILE, PARTS)
        made += dot(wide(x, rows, there, stride, terms), matrix(weight, terms, by_term, columns, by_column), PRECISION)
    return made


@triton.jit
def add_up(sums, rows, there, SHARES: tl.constexpr, SPACE: tl.constexpr):
    """[BM] of shares [rows, SHARES] of a sum; SPACE is a power of two, at least as many."""
    at = tl.arange(0, SPACE)
    there = there[:, None] & (at < SHARES)[None, :]
    return tl.sum(tl.load(sums + rows[:, None] * SHARES + at[None, :], mask=there, other=0.0), 1)
