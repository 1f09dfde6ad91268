"""RMSNorm and SiLU of whole rows as one Triton kernel forward, and one backward.

Rows [M, N, SIZE] of M models, scales [M, SIZE]. Tiles have BM rows and SPACE columns, a power of two, at least SIZE.
"""

# mypy: ignore-errors
import triton
import triton.language as tl


@triton.jit
def _tile(pointer, rows, there, columns, SIZE: tl.constexpr):
    inside = there[:, None] & (columns < SIZE)[None, :]
    return tl.load(pointer + rows[:, None] * SIZE + columns[None, :], mask=inside, other=0.0).to(tl.float32)


@triton.jit
def _store(pointer, rows, there, columns, values, SIZE: tl.constexpr):
    inside = there[:, None] & (columns < SIZE)[None, :]
    tl.store(pointer + rows[:, None] * SIZE + columns[None, :], values.to(pointer.dtype.element_ty), mask=inside)


@triton.jit
def forward(x, scale, out, rstd_out, N, SIZE: tl.constexpr, SPACE: tl.constexpr, BM: tl.constexpr, EPS: tl.constexpr):
    """silu(x / rms(x) * scale), and 1 / rms(x) [M, N]."""
    model = tl.program_id(1)
    row = tl.program_id(0) * BM + tl.arange(0, BM)
    columns = tl.arange(0, SPACE)
    rows, there = model * N + row, row < N
    values = _tile(x, rows, there, columns, SIZE)
    rstd = tl.rsqrt(tl.sum(values * values, 1) / SIZE + EPS)
    tl.store(rstd_out + rows, rstd, mask=there)
    scaled = values * rstd[:, None] * tl.load(scale + model * SIZE + columns, mask=columns < SIZE, other=0.0)[None, :]
    _store(out, rows, there, columns, scaled / (1 + tl.exp(-scaled)), SIZE)


@triton.jit
def backward(
    x, rstd_in, scale, grad, to_x, to_scale, N, TILES: tl.constexpr, SIZE: tl.constexpr, SPACE: tl.constexpr, BM: tl.constexpr
):  # fmt: skip
    """Gradients by x, and by the scales a share of every program, [M, programs, SIZE]."""
    model, first, programs = tl.program_id(1), tl.program_id(0), tl.num_programs(0)
    columns = tl.arange(0, SPACE)
    scales = tl.load(scale + model * SIZE + columns, mask=columns < SIZE, other=0.0)[None, :]
    share = tl.zeros([SPACE], tl.float32)
    for tile in range(TILES):
        row = (tile * programs + first) * BM + tl.arange(0, BM)
        rows, there = model * N + row, row < N
        rstd = tl.load(rstd_in + rows, mask=there, other=0.0)[:, None]
        unit = _tile(x, rows, there, columns, SIZE) * rstd
        scaled = unit * scales
        sigmoid = tl.sigmoid(scaled)
        by_scaled = _tile(grad, rows, there, columns, SIZE) * sigmoid * (1 + scaled * (1 - sigmoid))
        share += tl.sum(by_scaled * unit, 0)
        by_unit = by_scaled * scales
        mean = tl.sum(by_unit * unit, 1)[:, None] / SIZE
        _store(to_x, rows, there, columns, (by_unit - unit * mean) * rstd, SIZE)
    tl.store(to_scale + (model * programs + first) * SIZE + columns, share, mask=columns < SIZE)
