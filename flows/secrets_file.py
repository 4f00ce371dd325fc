"""Files of secrets: mode 600, one NAME=VALUE a line, as systemd, shells and container engines read.

What one of these readers would take otherwise than another (spaces, quotes, $, #, ;, backslash) is
refused when it is written, not guessed when it is read.
"""

from __future__ import annotations

import io
import re
from collections.abc import Mapping
from pathlib import Path

from dotenv import dotenv_values

from fedcore.audit import durable
from fedcore.config.reading import read_text
from fedcore.errors import InputError

NAME = re.compile(r"[A-Z][A-Z0-9_]*")
VALUE = re.compile(r"[A-Za-z0-9_.,:/+=@%-]+")


def read_secrets(path: Path) -> dict[str, str]:
    """What the file holds; `InputError` when it is missing or others may read it."""
    text = read_text(path, "file of secrets", InputError)
    require_private(path)
    found = dotenv_values(stream=io.StringIO(text), interpolate=False)
    return {name: value for name, value in found.items() if value}


def write_secrets(path: Path, secrets: Mapping[str, str]) -> None:
    """Write the file anew; `InputError` for a value that somebody could misread."""
    for name, value in secrets.items():
        if not NAME.fullmatch(name) or not VALUE.fullmatch(value):
            raise InputError(
                f"{path}: the value of {name} holds a character that shells and systemd take "
                "differently: use letters, digits and . , : / + = @ % - _"
            )
    write_private(path, "".join(f"{name}={value}\n" for name, value in secrets.items()))


def write_private(path: Path, text: str, mode: int = 0o600) -> None:
    """Write a file, whole or not at all, in a folder that is made if need be; `mode` is private."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        durable.write_part(path.parent, [text.encode()], mode=mode).replace(path)
        durable.flush_folder(path.parent)
    except OSError as broken:
        remedy = "make room there or choose another folder"
        raise InputError(f"{path}: cannot be written ({broken.strerror}): {remedy}") from None


def require_private(path: Path) -> None:
    """Raise `InputError` if others than the file's owner may read it."""
    if path.stat().st_mode & 0o077:
        raise InputError(f"{path}: others can read these secrets: run chmod 600 on it")
