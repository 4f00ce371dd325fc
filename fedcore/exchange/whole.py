"""Whole bodies in memory, in large pages: what is fetched is written there once."""

from __future__ import annotations

import io

import numpy as np


class Whole:
    """A body of `size` bytes as it arrives; numpy asks the system for large pages, bytes do not."""

    def __init__(self, size: int) -> None:
        """Nothing has arrived yet."""
        self._buffer, self._at = np.empty(size, np.uint8), 0

    def take(self, chunk: bytes) -> None:
        """The next bytes; more than `size` in all are left out."""
        fits = min(len(chunk), len(self._buffer) - self._at)
        self._buffer[self._at : self._at + fits] = np.frombuffer(chunk, np.uint8, fits)
        self._at += fits

    def read(self, file: io.BufferedReader) -> None:
        """Take what is left of a file, without a copy in between."""
        rest = self._buffer.data[self._at :]
        while rest and (count := file.readinto(rest)):
            self._at, rest = self._at + count, rest[count:]

    def view(self) -> memoryview:
        """What has arrived, read-only."""
        return self._buffer.data[: self._at].toreadonly()
