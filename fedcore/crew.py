"""Several threads at large arrays, block by block: numpy lets others run while it computes.

What a block comes to must not depend on who does it, nor on how many are at work; then neither
does the whole.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextvars import copy_context
from functools import partial
from typing import Self

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]
Block = tuple[int, slice]
# What is done to a block: the array's place, the block in it, and room for it in float64.
Act = Callable[[int, slice, Floats], None]
# The most numbers of a block: measured, larger ones gain nothing, smaller ones are slower.
BLOCK = 1 << 18
# All blocks begin at multiples of this.
GRAIN = 1 << 13
# Fewer numbers than this a thread has done before another has begun.
SHARE = 1 << 16
# Each thread finds about so many blocks, and who is held up leaves some to the others.
TURNS = 8
# Fewer threads than that fill any machine's memory channels.
MOST = 8


def cores_here() -> int:
    """How many cores this process may use, at most `MOST`."""
    # Not on every system can a process be kept to some of the cores.
    allowed = getattr(os, "sched_getaffinity", None)
    return min(MOST, len(allowed(0)) if allowed else os.cpu_count() or 1)


class Crew:
    """Threads that begin with the first large arrays, and end when nobody holds the crew any more.

    Or earlier, where it is used in a `with`. What is small stays with the calling thread.
    """

    def __init__(self, cores: int | None = None, share: int = SHARE, block: int = BLOCK) -> None:
        """Nobody is at work yet; by default with all `cores_here`."""
        self._cores = cores_here() if cores is None else cores
        self._share, self._block = share, block
        self._pool: ThreadPoolExecutor | None = None
        self._rooms: dict[int, Floats] = {}

    def each_block(self, sizes: Sequence[int], act: Act) -> None:
        """`act` on each block of flat arrays of these `sizes`.

        Blocks begin at multiples of `GRAIN` and are taken in order by whoever is free. What `act`
        raises is raised here, once all have stopped. numpy's error state is the caller's.
        """
        hands = max(1, min(self._cores, sum(sizes) // self._share))
        block = self._block_of(sum(sizes), hands)
        blocks = iter(list(_blocks(sizes, block)))  # shared: nobody is given what another has
        work = partial(self._work, blocks, min(block, max(sizes, default=0)), act)
        others = [self._threads().submit(copy_context().run, work, one) for one in range(1, hands)]
        try:
            work(0)
        finally:
            for other in others:
                other.result()

    def _block_of(self, numbers: int, hands: int) -> int:
        most = self._block if hands == 1 else min(self._block, numbers // (hands * TURNS))
        return max(1, -(-most // GRAIN)) * GRAIN

    def _threads(self) -> ThreadPoolExecutor:
        if self._pool is None:
            self._pool = ThreadPoolExecutor(self._cores - 1, "crew")
        return self._pool

    def _work(self, blocks: Iterator[Block], size: int, act: Act, one: int) -> None:
        """What thread `one` does: the next block, as long as there is one."""
        room = self._rooms.get(one)
        if room is None or len(room) < size:
            room = self._rooms[one] = np.empty(size, np.float64)
        for place, part in blocks:
            act(place, part, room[: part.stop - part.start])

    def __enter__(self) -> Self:
        """The crew itself."""
        return self

    def __exit__(self, *_: object) -> None:
        """Its threads are gone."""
        if self._pool is not None:
            self._pool.shutdown()


def _blocks(sizes: Iterable[int], block: int) -> Iterator[Block]:
    for place, size in enumerate(sizes):
        for start in range(0, size, block):
            yield place, slice(start, min(start + block, size))
