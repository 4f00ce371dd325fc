"""Memory that a simulation has freed is used again, without asking the system for new pages."""

from __future__ import annotations

import ctypes
import multiprocessing
import resource
from concurrent.futures import ProcessPoolExecutor

import numpy as np
import pytest

from fedcore.rounds import heap

PIECE, PIECES = 3 << 20, 20  # too small for large pages


def _faults() -> int:
    """How many new pages one more use of the memory takes."""
    before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    pieces = [np.ones(PIECE, np.uint8) for _ in range(PIECES)]
    assert len(pieces) == PIECES
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before


def _three_uses() -> list[int]:
    """New pages of the second use while memory is kept, and of the one after that."""
    with heap.kept():
        _faults()
        again = _faults()
    return [again, _faults()]


def test_what_was_freed_is_used_again_and_given_back_at_the_end() -> None:
    pages = PIECE * PIECES // resource.getpagesize()
    # In a new process: this one's heap may have room that other tests have freed.
    with ProcessPoolExecutor(1, multiprocessing.get_context("spawn")) as pool:
        again, afterwards = pool.submit(_three_uses).result(60)
    assert again < pages / 10 or not hasattr(ctypes.CDLL(None), "mallopt")
    assert afterwards > pages / 2


def test_what_is_raised_inside_passes() -> None:
    with pytest.raises(KeyError), heap.kept():
        raise KeyError
