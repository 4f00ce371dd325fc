"""The note that a download leaves beside its file, for whoever goes on with it.

A killed process leaves it whole or not at all. A power cut may lose it, as it is only jotted down:
the download then begins anew.
"""

from __future__ import annotations

import contextlib
import json
import os
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from fedcore.audit import durable


def jot(path: Path, note: Mapping[str, Any]) -> None:
    """Write a note without waiting for the disk; `OSError` when it cannot be written."""
    descriptor, name = tempfile.mkstemp(prefix=durable.PART, dir=path.parent)
    with contextlib.ExitStack() as undo:
        undo.callback(durable.discard, Path(name))
        with os.fdopen(descriptor, "wb") as file:
            file.write(json.dumps(note).encode())
        Path(name).replace(path)
        undo.pop_all()


def read_note(path: Path) -> dict[str, Any] | None:
    """A note's fields, none of them when it is torn; `None` when there is no note."""
    try:
        note = json.loads(path.read_bytes())
    except FileNotFoundError:
        return None
    except (OSError, ValueError):
        return {}
    return note if isinstance(note, dict) else {}
