"""What every frozen network offers, whatever its family."""

import torch
from torch import Tensor, nn

from datasets.errors import UserError

Features = tuple[Tensor, Tensor | None]


class Network(nn.Module):
    """A frozen network: pixels [N, 3, H, W] float32, normalised -> (vector [N, dim], tokens [N, h, w, D] or None).

    Attributes:
        poolings: values `configure` accepts besides None, the authors' own.
        depth: number of blocks that `layer` can cut at; 0 where it cannot be cut.
        hidden: [N, tokens, D] of the last forward pass, after the block that `keep_hidden` named.
    """

    poolings: tuple[str, ...] = ()
    depth = 0
    hidden: Tensor | None = None

    @property
    def body(self) -> nn.Module:
        """The module that the published weights belong to."""
        return self

    def configure(self, layer: int | None, pooling: str | None) -> None:
        """Keep the first `layer` blocks only, and pool the tokens in another way than the authors'; called once, after loading.

        Raises:
            UserError: the network has no such block or pooling.
        """
        if layer is not None and not 1 <= layer <= self.depth:
            raise UserError(f"layer {layer}: " + (f"expected 1 to {self.depth}" if self.depth else "this encoder cannot be cut"))
        if pooling is not None and pooling not in self.poolings:
            raise UserError(
                f"pooling {pooling!r}: "
                + (f"expected one of {', '.join(self.poolings)}" if self.poolings else "this encoder has only its own")
            )

    def keep_hidden(self, block: int) -> bool:
        """Keep the tokens after block `block`, counted from 1, of every forward pass; False where there are no such blocks.

        Raises:
            UserError: it has fewer blocks.
        """
        return False

    def forward(self, pixels: Tensor) -> Features:
        raise NotImplementedError


def on_meta() -> "torch.device":
    """Context in which modules are built without memory; their tensors are assigned from a checkpoint."""
    return torch.device("meta")
