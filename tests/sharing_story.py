"""What the tests of sharing look at: the arrays in the exchange, and those that stay home."""

from __future__ import annotations

from pathlib import Path

from fedcore.exchange import codec
from fedcore.params import Params
from fedcore.simulation import World


def arrays_of(place: World) -> dict[str, Params]:
    """Every object in the exchange that holds arrays."""
    found = [key for key in place.store.keys("") if key.endswith(".safetensors")]
    return {key: codec.decode(place.store.get(key)) for key in found}


def spooled(folder: Path, party: str, pattern: str) -> list[Params]:
    """What a party keeps of that name, oldest first."""
    paths = sorted((folder / "spool").rglob(f"{party}/{pattern}"))
    return [codec.decode(path.read_bytes()) for path in paths]
