"""What a GPU does while a party trains on it: waiting for images, memory taken. For benchmarks."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from fedcore.training import local
from fedcore.training.ahead import ahead

GPU = torch.cuda.is_available()


def settled() -> None:
    """Whatever the GPU was given to do is done."""
    if GPU:
        torch.cuda.synchronize()


class Watched:
    """`ahead`, and how long the GPU waits from the end of a step until the next batch is there."""

    def __init__(self) -> None:
        self.spans: list[tuple[torch.cuda.Event, torch.cuda.Event]] = []

    @contextmanager
    def here(self) -> Iterator[None]:
        """Watch what trains inside, if it is on a GPU."""
        if GPU:
            local.ahead = self.ahead
        try:
            yield
        finally:
            local.ahead = ahead

    @contextmanager
    def ahead(self, *given: Any) -> Iterator[Iterator[Any]]:
        with ahead(*given) as batches:
            yield self._timed(batches)

    def _timed(self, batches: Iterator[Any]) -> Iterator[Any]:
        while True:
            span = [torch.cuda.Event(enable_timing=True) for _ in range(2)]
            span[0].record()
            batch = next(batches, None)
            if batch is None:
                return
            span[1].record()
            self.spans.append((span[0], span[1]))
            yield batch

    @property
    def seconds(self) -> float:
        return sum(begun.elapsed_time(there) for begun, there in self.spans) / 1000


def memory_of(act: Callable[[], object]) -> float:
    """How many GB of the GPU's memory it takes at most, besides what lies there."""
    if not GPU:
        return 0.0
    before = torch.cuda.memory_allocated()
    torch.cuda.reset_peak_memory_stats()
    act()
    return (torch.cuda.max_memory_allocated() - before) / 1e9
