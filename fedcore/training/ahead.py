"""Batches that are ready before they are asked for: they travel to a GPU while it computes.

On a processor a batch is made when its turn comes, since the same cores would make it. For a GPU
one thread reads the next batches and sends them, on a stream of their own, from memory that the
card reads by itself. Which batches there are, and in which order, is the caller's; nothing random
happens here.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from typing import Generic, TypeVar

import torch

from fedcore.training.hardware import Hardware

Item = TypeVar("Item")
Batch = tuple[torch.Tensor, ...]
# So many batches are ready, and so many steps are handed to the GPU, before anybody waits.
DEPTH = 2


@contextmanager
def ahead(
    items: Iterable[Item], make: Callable[[Item], Batch], machine: Hardware
) -> Iterator[Iterator[Batch]]:
    """`make` of each item in turn, its tensors on the machine's device, good for one turn each.

    What `make` raises is raised where its batch is asked for.
    """
    if machine.device == "cpu":
        yield map(make, items)
        return
    pool = ThreadPoolExecutor(1, thread_name_prefix="batches")
    try:
        yield iter(_Ahead(items, make, pool))
    finally:
        pool.shutdown(cancel_futures=True)
        torch.cuda.current_stream().synchronize()


class _Ahead(Generic[Item]):
    """Two streams: one on which batches arrive, one on which the caller computes."""

    def __init__(
        self, items: Iterable[Item], make: Callable[[Item], Batch], pool: ThreadPoolExecutor
    ) -> None:
        self._items, self._make, self._pool = iter(items), make, pool
        self._arriving = torch.cuda.Stream()  # type: ignore[no-untyped-call]
        self._computing = torch.cuda.current_stream()
        # What the caller has put onto the GPU already, batches may be made with.
        self._arriving.wait_stream(self._computing)
        self._coming: deque[Future[tuple[Batch, torch.cuda.Event]]] = deque()

    def __iter__(self) -> Iterator[Batch]:
        used: deque[tuple[Batch, torch.cuda.Event]] = deque()
        for _ in range(DEPTH):
            self._ask()
        while self._coming:
            batch, arrived = self._coming.popleft().result()
            self._ask()
            self._computing.wait_event(arrived)
            yield batch
            # Its memory is held until the GPU is done with it: the other stream would reuse it.
            used.append((batch, self._computing.record_event()))
            if len(used) > DEPTH:
                used.popleft()[1].synchronize()

    def _ask(self) -> None:
        for item in self._items:
            self._coming.append(self._pool.submit(self._sent, item))
            return

    def _sent(self, item: Item) -> tuple[Batch, torch.cuda.Event]:
        with torch.cuda.stream(self._arriving):
            return self._make(item), self._arriving.record_event()
