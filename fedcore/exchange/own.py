"""What a store can do besides where the exchange is this process's own, and gone with it.

A simulation writes an object and reads it in one process. Then the hash that the writer has made
need not be made again by the reader, and what nobody reads again need not be kept.
"""

from __future__ import annotations

from pathlib import Path
from typing import Protocol


class Own(Protocol):
    """The further words of an `ObjectStore` that need not survive this process."""

    in_memory: bool  # whether objects lie in this process's memory: no file saves anything then

    def put_hashed_once(self, key: str, body: memoryview, sha256: str) -> None:
        """`put_once` of a read-only body of which its writer has made the SHA-256 just now."""
        ...

    def put_hashed_file_once(self, key: str, path: Path, sha256: str) -> None:
        """`put_file_once` of a file that this process wrote, whose bytes hash to `sha256`."""
        ...

    def known(self, key: str) -> tuple[memoryview, str] | None:
        """The object, read-only, and the SHA-256 that its writer gave; errors as `view`.

        `None` of what came into the exchange otherwise, or was touched since: it is to be hashed.
        """
        ...

    def put_again(self, key: str, standing: str, body: memoryview, sha256: str) -> None:
        """`put_hashed_once` of a body that stands at another key, without a copy where possible."""
        ...

    def forget(self, key: str) -> None:
        """Free what an object holds, which nobody reads again; it stays as one without bytes."""
        ...
