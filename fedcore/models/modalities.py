"""Which parameters belong to which modality: told by their names, so nobody needs torch for it."""

from __future__ import annotations

ENCODER = "encoder_"


def encoder_of(modality: str) -> str:
    """The name of the modality's own part of a cross-modal network."""
    return f"{ENCODER}{modality}"


def is_foreign(name: str, modality: str | None) -> bool:
    """Whether a parameter belongs to the encoder of another modality than the party's.

    A party without a modality has a network without encoders, in which nothing is foreign.
    """
    if modality is None or not name.startswith(ENCODER):
        return False
    return not name.startswith(f"{encoder_of(modality)}.")
