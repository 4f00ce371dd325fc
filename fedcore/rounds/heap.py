"""This process's memory: in a simulation or a session, what one round frees the next one takes.

Models and batches come and go, tens of megabytes at a time. The C library gives such memory back to
the system at once and asks for it anew, and clearing new pages can take longer than the arithmetic
done in them.
"""

from __future__ import annotations

import contextlib
import ctypes
from collections.abc import Iterator

# The numbers that glibc's malloc.h gives its settings.
TRIM_THRESHOLD, MMAP_THRESHOLD, MMAP_MAX, ARENA_MAX = -1, -3, -4, -8
KEEP = ((MMAP_MAX, 0), (TRIM_THRESHOLD, -1), (ARENA_MAX, 1))
# As it begins, but that large blocks are 32 MiB, which is where it ends up by itself.
GIVE_BACK = ((MMAP_MAX, 1 << 16), (TRIM_THRESHOLD, 1 << 26), (MMAP_THRESHOLD, 1 << 25))


@contextlib.contextmanager
def kept() -> Iterator[None]:
    """Keep freed memory for this process's next use of it, and give it back at the end.

    Only glibc has these settings; with another C library nothing changes.
    """
    library = ctypes.CDLL(None)
    if not hasattr(library, "mallopt"):
        yield
        return
    for setting, value in KEEP:
        library.mallopt(setting, value)
    try:
        yield
    finally:
        for setting, value in GIVE_BACK:
            library.mallopt(setting, value)
        library.malloc_trim(0)
