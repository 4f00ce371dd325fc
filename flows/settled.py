"""A process that has loaded its code: Python need not look through all of that again and again.

Its search for objects that only hold each other visits every object there is, every few rounds:
half a second of a processor with Prefect loaded, and more with torch.
"""

from __future__ import annotations

import gc

YOUNG = 10_000  # objects made before the young ones are looked through


def settle() -> None:
    """Leave what is there by now out of the search; may be called again when more is loaded."""
    gc.freeze()
    gc.set_threshold(YOUNG)
