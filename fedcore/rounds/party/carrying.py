"""What a party carries from round to round, on its own disk: one file per round, never sent."""

from __future__ import annotations

from pathlib import Path

from fedcore.audit.durable import replace_with
from fedcore.exchange import codec
from fedcore.rounds.party.desk import Desk
from fedcore.training.carried import Carried


def before(desk: Desk, number: int) -> Carried:
    """What the last round that this party trained before `number` has left; nothing before any.

    A repeated round so begins as it did, and a missed one changes nothing.
    """
    earlier = [path for path in _files(desk) if path.name < _name(number)]
    return Carried.from_params(codec.decode(earlier[-1].read_bytes())) if earlier else Carried()


def keep(desk: Desk, carried: Carried, number: int) -> None:
    """Keep what round `number` leaves, and the one before it in case the round is repeated."""
    if not desk.task.training.carries:
        return
    replace_with(desk.spool / _name(number), [codec.encode(carried.to_params())])
    earlier = [path for path in _files(desk) if path.name < _name(number)]
    for path in earlier[:-1]:
        path.unlink(missing_ok=True)


def _files(desk: Desk) -> list[Path]:
    return sorted(desk.spool.glob("carried-*.safetensors"))


def _name(number: int) -> str:
    return f"carried-{number:05d}.safetensors"
