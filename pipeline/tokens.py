"""What is stored of a frame beside its vector: spatial tokens, pooled or not, and everything after one block of a ViT."""

from collections.abc import Set
from typing import TYPE_CHECKING, Any, NamedTuple

from datasets.embedding_shards import ERROR, HIDDEN, SCALE, TOKENS, Layout
from datasets.errors import UserError
from pipeline.log import log

if TYPE_CHECKING:
    from torch import Tensor

    from pipeline.encoders.base import Encoder, Features
    from pipeline.sections.learning import Encode, Tokens


class TokenArrays:
    """The arrays that `encode.tokens` asks for, as far as an encoder has them.

    Attributes:
        arrays: by name, the layout, and what identifies the values besides what identifies the vector.
    """

    def __init__(self, how: "Encode", encoder: "Encoder", rows: int) -> None:
        """
        Args:
            how: `encode` of params.yaml.
            encoder: opened; asked here to keep what is stored.
            rows: of the trajectory file.

        Raises:
            UserError: the encoder has fewer blocks, or a smaller grid.
        """
        self.arrays: dict[str, tuple[Layout, dict[str, Any]]] = {}
        self._how, self._encoder = how, encoder
        kept = how.tokens
        if not kept.kept:
            return
        hidden = kept.after_block is not None and encoder.keep_hidden(kept.after_block)
        if kept.after_block is not None and not hidden:
            log(
                f"encode {encoder.name}: it has no blocks of a ViT to cut between; nothing is kept after block {kept.after_block}"
            )
        shapes = encoder.feature_shapes()
        if kept.spatial and shapes.tokens is None:
            log(f"encode {encoder.name}: it has no spatial tokens; they are left out")
        if kept.spatial and shapes.tokens is not None:
            h, w, dim = shapes.tokens
            if kept.grid is not None and kept.grid > min(h, w):
                raise UserError(f"encode.tokens.grid: {kept.grid} is more than the {h} x {w} tokens of {encoder.name}")
            grid = (kept.grid or h, kept.grid or w)
            self._add(TOKENS, rows, (*grid, dim), kept, {"pooled_grid": kept.grid})
        if hidden and shapes.hidden is not None:
            self._add(HIDDEN, rows, shapes.hidden, kept, {"after_block": kept.after_block})

    def _add(self, name: str, rows: int, shape: tuple[int, ...], kept: "Tokens", own: dict[str, Any]) -> None:
        def layout(suffix: str, tail: tuple[int, ...], dtype: str, compress: bool = False) -> None:
            at = (kept.chunk, kept.shard) if not suffix else (self._how.chunk, self._how.shard)
            self.arrays[name + suffix] = Layout(rows, tail, dtype, *at, name + suffix, compress), own

        layout("", shape, kept.dtype, kept.compress)
        if kept.dtype == "int8":
            layout(SCALE, shape[-1:], "float32")
            layout(ERROR, (), "float32")

    def values(self, features: "Features", wanted: Set[str]) -> "dict[str, Tensor]":
        """The `wanted` arrays' values [n, ...] of a batch."""
        found: dict[str, Tensor] = {}
        for name, values in ((TOKENS, features.tokens), (HIDDEN, features.hidden)):
            if not wanted & {name, name + SCALE, name + ERROR} or values is None:
                continue
            kept = pooled(values, self._how.tokens.grid) if name == TOKENS else values
            if self._how.tokens.dtype == "int8":
                found[name], found[name + SCALE], found[name + ERROR] = quantised(kept)
            else:
                found[name] = kept
        return found


class Quantised(NamedTuple):
    """Attributes: values: int8 [n, ..., D]. scale: float32 [n, D]. error: float32 [n]."""

    values: "Tensor"
    scale: "Tensor"
    error: "Tensor"


def quantised(tokens: "Tensor") -> Quantised:
    """Round every frame's channels to 255 levels, symmetric about 0: `tokens` is about values * scale.

    Args:
        tokens: float32 [n, ..., D].

    Returns:
        The scale is the largest magnitude of a channel in a frame over 127; the error is a frame's root mean square of what is
        lost over that of what was there (0 where there was nothing).
    """
    import torch

    flat = tokens.flatten(1, -2)  # (n, N, D)
    scale = flat.abs().amax(1) / 127
    values = torch.where(scale[:, None] > 0, flat / scale[:, None], 0.0).round_().clamp_(-127, 127)
    lost = (values * scale[:, None] - flat).flatten(1).norm(dim=1)
    error = lost / flat.flatten(1).norm(dim=1).clamp(min=torch.finfo(torch.float32).tiny)
    return Quantised(values.to(torch.int8).view(tokens.shape), scale, error)


def pooled(tokens: "Tensor", grid: int | None) -> "Tensor":
    """Tokens [n, h, w, D] averaged to [n, grid, grid, D] (windows overlap where grid does not divide h or w)."""
    if grid is None:
        return tokens
    from torch.nn.functional import adaptive_avg_pool2d

    return adaptive_avg_pool2d(tokens.permute(0, 3, 1, 2), grid).permute(0, 2, 3, 1).contiguous()
