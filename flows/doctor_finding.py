"""One line of the doctor: a thing, whether it is well, and what was found or is to be done."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Finding:
    """`said` is what was found where it is `good`, else the remedy in one sentence."""

    name: str
    good: bool
    said: str


def well(name: str, said: str) -> Finding:
    """A thing as it should be."""
    return Finding(name, True, said)


def lacking(name: str, remedy: str) -> Finding:
    """A thing that is not as it should be."""
    return Finding(name, False, remedy)
