"""A process that has loaded its code is not looked through again for what nobody needs."""

from __future__ import annotations

import subprocess
import sys

CODE = """
import gc, weakref
from flows.settled import YOUNG, settle
class Thing: pass
settle()
assert gc.get_freeze_count() > 1000 and gc.get_threshold()[0] == YOUNG
later = Thing()
later.itself, seen = later, weakref.ref(later)
del later
gc.collect()
assert seen() is None
"""


def test_what_was_loaded_is_left_out_and_what_comes_later_is_not() -> None:
    subprocess.run([sys.executable, "-c", CODE], check=True)
