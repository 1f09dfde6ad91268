"""An update as one CUDA graph: launched once instead of kernel by kernel, which is what a small update on a GPU waits for."""

import gc
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor
from torch.utils._pytree import tree_flatten, tree_unflatten

_WARM = 3  # updates that run as they are, so that all memory an update needs has been asked for before


class Graphed:
    """`run` on tensors whose shapes never change; where there is no GPU to itself, and for the first updates, plainly.

    What a graph reads and writes lies where it lay when it was captured: inputs are copied there, results copied away.
    """

    def __init__(self, run: Callable[..., Tensor], device: torch.device, world: int = 1) -> None:
        """
        Args:
            run: (nested tuples of tensors, ...) -> a tensor; it never waits for the GPU and draws no random numbers.
            device: cpu or cuda.
            world: processes that exchange tensors meanwhile; with several there is no graph.
        """
        self._run, self._device, self._done = run, device, 0
        self._plain = device.type != "cuda" or world > 1
        self._graph: torch.cuda.CUDAGraph | None = None
        self._inputs: list[Any] = []
        self._made: Tensor | None = None

    @property
    def captured(self) -> bool:
        """Whether updates are the graph's by now."""
        return self._graph is not None

    def __call__(self, *given: Any) -> Tensor:
        if self._plain:
            return self._run(*given)
        flat, form = tree_flatten(given)
        if self._graph is None and self._done < _WARM:
            self._done += 1
            return self._aside(given)
        if self._graph is None:
            self._capture(flat, form)
        for own, value in zip(self._inputs, flat, strict=True):
            if isinstance(own, Tensor):
                own.copy_(value, non_blocking=True)
        assert self._graph is not None and self._made is not None
        self._graph.replay()
        return self._made.clone()

    def _aside(self, given: tuple[Any, ...]) -> Tensor:
        """On a stream of its own, as a capture's warm-up has to."""
        stream = torch.cuda.Stream(self._device)
        stream.wait_stream(torch.cuda.current_stream(self._device))
        with torch.cuda.stream(stream):
            made = self._run(*given)
        torch.cuda.current_stream(self._device).wait_stream(stream)
        return made

    def _capture(self, flat: list[Any], form: Any) -> None:
        self._inputs = [value.clone() if isinstance(value, Tensor) else value for value in flat]
        self._graph = torch.cuda.CUDAGraph()
        with _nothing_freed(), torch.cuda.graph(self._graph, capture_error_mode="thread_local"):  # others may read ahead
            self._made = self._run(*tree_unflatten(self._inputs, form))


@contextmanager
def _nothing_freed() -> Iterator[None]:
    """No graph that nobody needs any more is collected meanwhile: freeing one would end the capture of another."""
    gc.collect()
    was_on = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was_on:
            gc.enable()
