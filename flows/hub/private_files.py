"""Small files on the hub's disk: secrets that only their owner reads, plain JSON beside them."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from fedcore.errors import InputError
from flows.secrets_file import write_private

SECRET = 0o600
PLAIN = 0o644


def write_json(path: Path, content: Mapping[str, Any], mode: int = SECRET) -> None:
    """`write_private` with `content` as JSON."""
    write_private(path, json.dumps(content, indent=1, sort_keys=True) + "\n", mode)


def read_json(path: Path, remedy: str) -> dict[str, Any]:
    """The JSON object in a file; `InputError` with the `remedy` where there is none."""
    try:
        content = json.loads(path.read_bytes())
    except OSError as broken:
        raise InputError(f"{path}: cannot be read ({broken.strerror}): {remedy}") from None
    except ValueError:
        content = None
    if not isinstance(content, dict):
        raise InputError(f"{path}: it is no JSON object: {remedy}")
    return content


def private_folder(path: Path) -> Path:
    """Make a folder that only its owner enters, also where it stood open; its path."""
    path.mkdir(parents=True, exist_ok=True, mode=0o700)
    path.chmod(0o700)
    return path
